/** `perigee publish` and `rollback`: a folder becomes a release of a site. */
import { createHash } from "node:crypto";
import { createReadStream, type Dirent, readdirSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import type { Command } from "commander";
import { RELEASE_FILES_MAX } from "#contracts/operator-api/operator.ts";
import { Failure } from "#domain/failure.ts";
import { parseName } from "#domain/ids.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import { mediaTypeOf } from "../media-types.ts";
import { fieldOf, itemsOf, type Output, printValue, resultOption, textOf } from "../output.ts";
import { type EncodedBlob, encodeFiles, type FileEncodingDigests } from "../release-encodings.ts";
import { rollBackPolicy } from "./revisions.ts";
import { type Api, apiOf, type CommandSession } from "./session.ts";
import { timeOf } from "./time-option.ts";

/** One blob; a file beyond this belongs to object storage behind a `pull` site. */
export const PUBLISH_FILE_BYTES_MAX = 2 * 1024 * 1024 * 1024;

interface LocalFile {
  readonly path: string;
  readonly source: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

export function addPublish(program: Command, session: CommandSession): void {
  program
    .command("publish")
    .description("publish a folder as the next release of a site")
    .argument("<folder>")
    .requiredOption("--site <name>", "a Site with `publish`")
    .option("--activate-at <time>", "when it is served, of UTC where it names no zone; at once where it is not given")
    .option("--no-compress", "without compressed forms of its files beside them")
    .addOption(resultOption())
    .addHelpText(
      "after",
      "\nExamples:\n  perigee publish ./dist --site shop\n  perigee publish ./dist --site shop --activate-at 2026-11-28T08:00",
    )
    .action(async (folder: string, options: PublishOptions, command: Command) => {
      const { compress, activateAt } = options;
      const target = { api: apiOf(command, session), site: parseName(options.site, "--site"), output: session.output };
      const at = activateAt === undefined ? {} : { activateAtMs: timeOf(activateAt, "--activate-at") };
      const published = await releaseFolder(folder, { ...target, ...at, compress });
      if (options.output === "json") printValue(session.output, "json", published);
      else session.output.line(describePublished(published));
    });
}

interface PublishOptions {
  readonly site: string;
  readonly compress: boolean;
  readonly activateAt?: string;
  readonly output: string;
}

interface Target {
  readonly api: Api;
  readonly site: string;
  readonly output: Output;
  readonly compress: boolean;
  /** As soon as it is made where not given. */
  readonly activateAtMs?: number;
}

interface Published {
  /** The origin's answer. */
  readonly release: unknown;
  readonly site: string;
  readonly files: number;
  readonly uploaded: number;
}

/** Uploads what the origin lacks, makes the release, and says what became of it. */
export async function publishFolder(api: Api, folder: string, site: string, output: Output): Promise<string> {
  return describePublished(await releaseFolder(folder, { api, site, output, compress: true }));
}

function describePublished({ release, site, files, uploaded }: Published): string {
  const [generation, revision] = ["generation", "revision"].map((name) => textOf(fieldOf(release, name)));
  return `${site}: generation ${generation}, ${files} files, ${uploaded} uploaded, revision ${revision}`;
}

async function releaseFolder(folder: string, target: Target): Promise<Published> {
  const { api, site, compress, activateAtMs } = target;
  const files = await readFolder(folder);
  if (files.length === 0) throw new Failure("argument-invalid", `${folder} holds no files`);
  const uploaded = await uploadMissing(target, files);
  const encodings = compress ? await encodeFiles(files, (blobs) => uploadEncoded(target, blobs)) : new Map();
  const at = activateAtMs === undefined ? {} : { activateAtMs };
  const body = { files: manifestOf(files, encodings), ...at };
  const request = { method: "POST", path: `/v1/sites/${site}/releases`, body } as const;
  return { release: await api.origin(request), site, files: files.length, uploaded };
}

interface RollbackOptions {
  readonly to: string;
  readonly force?: boolean;
  readonly output: string;
}

export function addRollback(program: Command, session: CommandSession): void {
  program
    .command("rollback")
    .description(
      "publish an earlier release's content again, as a new generation; or write a policy's earlier words again",
    )
    .argument("<site>", "a site; or the kind of a policy, before its name")
    .argument("[name]", "of the policy")
    .requiredOption("--to <generation>", "the generation whose content to serve; the revision of the policy")
    .option("--force", "a policy's, although a simulation says that it breaks guard-rails")
    .addOption(resultOption())
    .addHelpText("after", "\nExamples:\n  perigee rollback shop --to 3\n  perigee rollback placementpolicy eu --to 41")
    .action(async (site: string, name: string | undefined, options: RollbackOptions, command: Command) => {
      if (name !== undefined) {
        const rollback = { kind: site, name, revision: options.to, force: options.force === true };
        const applied = await rollBackPolicy(apiOf(command, session), rollback);
        if (options.output === "json") return printValue(session.output, "json", applied);
        const [result] = itemsOf({ items: fieldOf(applied, "results") });
        const now = `revision ${textOf(fieldOf(result, "resourceVersion"))}`;
        const isSame = fieldOf(result, "action") === "unchanged";
        return session.output.line(
          isSame
            ? `${name}: already as at revision ${options.to}`
            : `${name}: ${now} says what revision ${options.to} said`,
        );
      }
      const toGeneration = Number(options.to);
      if (!Number.isSafeInteger(toGeneration) || toGeneration < 1) {
        throw new Failure("argument-invalid", `--to must be a generation (1, 2, …), got ${JSON.stringify(options.to)}`);
      }
      const path = `/v1/sites/${parseName(site, "the site")}/rollback`;
      const answer = await apiOf(command, session).origin({ method: "POST", path, body: { toGeneration } });
      if (options.output === "json") return printValue(session.output, "json", answer);
      session.output.line(
        `${site}: generation ${textOf(fieldOf(answer, "generation"))} has the content of ${toGeneration}`,
      );
    });
}

async function askMissing({ api, site }: Target, blobs: readonly { readonly digest: string }[]): Promise<Set<string>> {
  const digests = [...new Set(blobs.map(({ digest }) => digest))];
  if (digests.length === 0) return new Set();
  const answer = await api.origin({ method: "POST", path: `/v1/sites/${site}/missing-blobs`, body: { digests } });
  const missing = fieldOf(answer, "digests");
  return new Set(Array.isArray(missing) ? missing.map(String) : digests);
}

async function uploadEncoded(target: Target, blobs: readonly EncodedBlob[]): Promise<void> {
  const wanted = await askMissing(target, blobs);
  for (const { digest, bytes } of blobs.filter((blob) => wanted.delete(blob.digest))) {
    await target.api.origin({ method: "PUT", path: `/v1/sites/${target.site}/blobs/${digest}`, bytes });
  }
}

async function uploadMissing(target: Target, files: readonly LocalFile[]): Promise<number> {
  const { api, site, output } = target;
  const wanted = await askMissing(target, files);
  const uploads = files.filter((file) => wanted.delete(file.digest));
  for (const [index, file] of uploads.entries()) {
    output.note(`uploading ${index + 1}/${uploads.length} ${file.path} (${file.sizeBytes} bytes)`);
    await api.origin({
      method: "PUT",
      path: `/v1/sites/${site}/blobs/${file.digest}`,
      file: file.source,
    });
  }
  return uploads.length;
}

function manifestOf(files: readonly LocalFile[], encodings: ReadonlyMap<string, FileEncodingDigests>): object {
  return Object.fromEntries(
    files.map(({ path, digest, mediaType }) => {
      const encoded = encodings.get(digest);
      return [path, { digest, mediaType, ...(encoded === undefined ? {} : { encodings: encoded }) }];
    }),
  );
}

/** Regular files only: a link or device in a folder to publish is a mistake that must not pass in silence. */
async function readFolder(folder: string): Promise<LocalFile[]> {
  const files = listFiles(folder, "");
  if (files.length > RELEASE_FILES_MAX) {
    throw new Failure(
      "argument-invalid",
      `${folder} holds ${files.length} files, a release at most ${RELEASE_FILES_MAX}`,
    );
  }
  const described: LocalFile[] = [];
  for (const { path, source } of files) {
    const sizeBytes = statSync(source).size;
    if (sizeBytes > PUBLISH_FILE_BYTES_MAX) {
      throw new Failure(
        "argument-invalid",
        `${source} has ${sizeBytes} bytes, a file at most ${PUBLISH_FILE_BYTES_MAX}`,
      );
    }
    described.push({ path, source, sizeBytes, digest: await digestOf(source), mediaType: mediaTypeOf(extname(path)) });
  }
  return described;
}

/** A file may be larger than what memory should hold of it. */
async function digestOf(source: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(source)) hash.update(chunk);
  return hash.digest("hex");
}

function listFiles(folder: string, prefix: string): { path: string; source: string }[] {
  return readEntries(folder).flatMap((entry) => {
    const source = join(folder, entry.name);
    const path = `${prefix}/${entry.name}`;
    if (entry.isDirectory()) return listFiles(source, path);
    if (entry.isFile()) return [{ path, source }];
    throw new Failure(
      "argument-invalid",
      `${source} is neither a file nor a folder: replace the link by what it points to`,
    );
  });
}

function readEntries(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw new Failure("argument-invalid", `${folder} cannot be read as a folder: ${fileReasonOf(cause)}`, { cause });
  }
}

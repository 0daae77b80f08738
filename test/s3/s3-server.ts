/** A real S3 server on loopback, Versity's gateway, on a folder. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, utimesSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { freePort } from "../free-ports.ts";

const READY_MS_MAX = 20_000;
const BUCKET = "blobs";

/** `VERSITYGW`, the PATH, or where `go install` puts it; `undefined` where it is nowhere. */
export function findVersitygw(): string | undefined {
  const { VERSITYGW, PATH = "", GOBIN } = process.env;
  const folders = [...PATH.split(delimiter), GOBIN ?? "", join(homedir(), "go", "bin")];
  return [VERSITYGW ?? "", ...folders.map((folder) => join(folder, "versitygw"))].find(
    (path) => path !== "" && existsSync(path),
  );
}

export const VERSITYGW_MISSING =
  "versitygw is not here: go install github.com/versity/versitygw/cmd/versitygw@latest, and VERSITYGW=path/to/it where it is not in PATH";

export class S3Server implements AsyncDisposable {
  readonly endpoint: string;
  readonly bucket = BUCKET;
  readonly accessKeyId = "tester";
  readonly secretKey = "a-secret-of-the-test";
  readonly region = "us-east-1";
  readonly folder: string;
  readonly #stop: () => Promise<void>;

  static async start(program: string, folder: string): Promise<S3Server> {
    const address = `127.0.0.1:${await freePort()}`;
    mkdirSync(join(folder, BUCKET), { recursive: true });
    const keys = ["--access", "tester", "--secret", "a-secret-of-the-test"];
    const child = spawn(program, ["--port", address, ...keys, "--quiet", "--health", "/health", "posix", folder], {
      stdio: "ignore",
    });
    const signal = AbortSignal.timeout(READY_MS_MAX);
    while (!(await isThere(`http://${address}/health`))) {
      if (child.exitCode !== null) throw new Error(`versitygw has ended with ${child.exitCode}`);
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return new S3Server(`http://${address}`, folder, async () => {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    });
  }

  private constructor(endpoint: string, folder: string, stop: () => Promise<void>) {
    this.endpoint = endpoint;
    this.folder = folder;
    this.#stop = stop;
  }

  /** Of an object, as its file. */
  pathOf(key: string): string {
    return join(this.folder, BUCKET, key);
  }

  /** As if it had been uploaded long ago. */
  age(key: string): void {
    utimesSync(this.pathOf(key), 1, 1);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop();
  }
}

async function isThere(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

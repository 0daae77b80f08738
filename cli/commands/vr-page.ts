/** `perigee vr-page`: writes the VR client library, and the page that shows it, to be published with a site. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { Failure } from "#domain/failure.ts";
import { makeFolder } from "#platform/files/folder.ts";
import { fileReasonOf } from "#platform/files/reason.ts";
import type { CommandSession } from "./session.ts";

export function addVrPage(program: Command, session: CommandSession): void {
  program
    .command("vr-page")
    .description("write the VR client library, perigee.js, and a page that uses it, to be published with a site")
    .argument("<folder>", "made where it is missing; files of the same names are replaced")
    .option("--library-only", "perigee.js alone, for a page of your own (docs/vr.md)")
    .addHelpText("after", "\nExample:\n  perigee vr-page ./my-site && perigee publish ./my-site --site my-site")
    .action(async (folder: string, options: { readonly libraryOnly?: true }) => {
      // Loaded now: the other commands have no use for a bundler.
      const { bundleClient, bundleLibrary } = await import("#client/bundle.ts");
      const bundle = options.libraryOnly === true ? bundleLibrary : bundleClient;
      const outDir = resolve(session.environment.folder, folder);
      const written = makeFolder(outDir).then(() => bundle(outDir));
      const files = await written.catch((cause: unknown) => {
        throw new Failure("argument-invalid", `${folder} cannot be written: ${fileReasonOf(cause)}`, { cause });
      });
      for (const { name, bytes } of files) session.output.line(`${name} ${bytes} bytes`);
      if (bundle === bundleClient) session.output.note("config.json beside it is yours to write: see docs/vr.md");
    });
}

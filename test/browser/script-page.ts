/** A page of a real browser with a script of the client's parts in it, and nothing else. */
import { createServer } from "node:http";
import { join } from "node:path";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { closeServer, listen } from "#platform/http/listening.ts";
import { launchChromium } from "../chromium/chromium.ts";

const CLIENT = join(import.meta.dirname, "..", "..", "client");

/** As one script that a page can evaluate; the entry is TypeScript as if it stood in the client's folder. */
export async function bundleClientScript(entry: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: CLIENT, loader: "ts" },
    ...{ bundle: true, format: "iife", write: false, target: "es2022" },
  });
  return outputFiles[0]?.text ?? "";
}

export interface ScriptPage extends AsyncDisposable {
  readonly page: Page;
}

/** From loopback, which is a secure context: WebCodecs ask for one. */
export async function openScriptPage(entry: string, body = ""): Promise<ScriptPage> {
  const script = await bundleClientScript(entry);
  const server = createServer((_request, response) => response.setHeader("content-type", "text/html").end(body));
  const { port } = await listen(server, { host: "127.0.0.1", port: 0 });
  const browser = await launchChromium({ width: 300, height: 200 });
  const page = await browser.context.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.evaluate(script);
  return {
    page,
    async [Symbol.asyncDispose]() {
      await browser[Symbol.asyncDispose]();
      await closeServer(server);
    },
  };
}

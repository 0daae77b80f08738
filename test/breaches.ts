/** One breach per rule: a file, what is planted there, the check that must fail, and what it must say. */

export interface Breach {
  readonly check: string;
  readonly rule: string;
  readonly path: string;
  readonly text: string;
  /** Other files that the breach needs. */
  readonly also?: Readonly<Record<string, string>>;
  readonly says: RegExp;
}

const DOC = "/** Planted. */\n";

function module(check: string, rule: string, path: string, text: string, says: RegExp): Breach {
  return { check, rule, path, text: DOC + text, says };
}

const types: readonly Breach[] = [
  module("types", "strict", "platform/planted.ts", 'export const planted: number = "x";\n', /TS2322/),
  module(
    "types",
    "unchecked index",
    "platform/planted.ts",
    "export const first = (a: string[]): string => a[0];\n",
    /TS2322/,
  ),
  module("types", "erasable syntax", "platform/planted.ts", "export enum Planted { A }\n", /TS1294/),
  module("types", "unused", "platform/planted.ts", "const planted = 1;\n", /TS6133/),
  module(
    "types-pure",
    "no process",
    "domain/planted.ts",
    "export const planted = process.pid;\n",
    /TS2591|TS2304|TS2580/,
  ),
  module("types-pure", "no fetch", "domain/planted.ts", 'export const planted = fetch("/");\n', /TS2304/),
  module(
    "types-client",
    "no Buffer",
    "client/planted.ts",
    "export const planted = Buffer.alloc(1);\n",
    /TS2591|TS2304|TS2580/,
  ),
  module(
    "types-loadtests",
    "k6 is not Node",
    "loadtests/k6/planted.ts",
    "export const planted = process.pid;\n",
    /TS2591|TS2304|TS2580/,
  ),
  module(
    "types-cover",
    "every module compiled",
    "contracts/generated/unread.ts",
    "export const planted = 1;\n",
    /unread\.ts/,
  ),
  module(
    "promises",
    "floating promise",
    "platform/planted.ts",
    'import { readFile } from "node:fs/promises";\nexport function planted(): void {\n  readFile("x");\n}\n',
    /platform\/planted\.ts:4: floating promise/,
  ),
];

const lint: readonly Breach[] = [
  module("lint", "format", "platform/planted.ts", "export const   planted = 1\n", /planted\.ts format/),
  module("lint", "no any", "platform/planted.ts", "export const planted = (a: any): void => a();\n", /noExplicitAny/),
  module(
    "lint",
    "no !",
    "platform/planted.ts",
    "export const planted = (a?: string): string => a!;\n",
    /noNonNullAssertion/,
  ),
  module("lint", "no default export", "platform/planted.ts", "export default 1;\n", /noDefaultExport/),
  module(
    "lint",
    "node: protocol",
    "platform/planted.ts",
    'import { sep } from "path";\n\nexport const planted = sep;\n',
    /useNodejsImportProtocol/,
  ),
  module(
    "lint",
    "import type",
    "platform/planted.ts",
    'import { Stats } from "node:fs";\n\nexport type Planted = Stats;\n',
    /useImportType/,
  ),
];

function importing(rule: string, from: string, to: string): Breach {
  return module("imports", rule, from, `import "${to}";\n`, new RegExp(`error ${rule}: `));
}

const imports: readonly Breach[] = [
  importing("domain-imports-nothing", "domain/planted.ts", "#platform/clock.ts"),
  importing("contracts-import-domain", "contracts/planted.ts", "#platform/clock.ts"),
  importing("platform-imports-domain", "platform/planted.ts", "#contracts/tokens/claims.ts"),
  importing("domain-imports-nothing", "domain/planted.ts", "node:fs"),
  importing("caching-rules-are-pure", "edge-node/caching/planted.ts", "node:fs"),
  {
    ...importing("services-never-each-other", "origin/planted.ts", "#scheduler/planted.ts"),
    also: { "scheduler/planted.ts": DOC },
  },
  {
    ...importing("services-never-each-other-in-tests", "origin/planted.test.ts", "#scheduler/planted.ts"),
    also: { "scheduler/planted.ts": DOC },
  },
  importing("client-imports-domain-and-contracts", "client/planted.ts", "#platform/clock.ts"),
  importing("client-has-no-node", "client/planted.ts", "node:fs"),
  {
    ...importing("deploy-starts-processes", "deploy/planted.ts", "#origin/planted.ts"),
    also: { "origin/planted.ts": DOC },
  },
  importing("loadtests-import-themselves", "loadtests/planted.ts", "#domain/failure.ts"),
  importing("nothing-imports-test", "platform/planted.ts", "#test/source-files.ts"),
  importing("nothing-imports-cli", "platform/planted.ts", "#cli/main.ts"),
  {
    ...importing("no-test-in-production", "origin/planted.ts", "./other.test.ts"),
    also: { "origin/other.test.ts": DOC },
  },
  importing("no-dev-dependency-in-production", "platform/planted.ts", "fast-check"),
  {
    ...importing("no-cycle", "platform/planted.ts", "./other.ts"),
    also: { "platform/other.ts": `${DOC}import "./planted.ts";\n` },
  },
  importing("every-import-resolves", "platform/planted.ts", "#domain/absent.ts"),
  importing("owner-node-sqlite", "origin/planted.ts", "node:sqlite"),
  ...[
    "prom-client",
    "@grpc/grpc-js",
    "@peculiar/x509",
    "jose",
    "pino",
    "webgpu",
    "node-av",
    "undici",
    "ws",
    "quickjs-emscripten-core",
  ].map((library) =>
    importing(
      `owner-${library.replace("/grpc-js", "/.+").replaceAll(/[^a-z0-9]+/g, "-")}`,
      "origin/planted.ts",
      library,
    ),
  ),
];

const unused: readonly Breach[] = [
  module("unused", "unused file", "platform/planted.ts", "export const planted = 1;\n", /files: platform\/planted\.ts/),
  {
    ...module(
      "unused",
      "unused export",
      "platform/planted.ts",
      "export const planted = 1;\nexport const used = 2;\n",
      /exports: .*planted\.ts: planted/,
    ),
    also: { "platform/planted.test.ts": `${DOC}import { used } from "./planted.ts";\nused.toFixed();\n` },
  },
  module("unused", "unlisted dependency", "platform/planted.test.ts", 'import "left-pad";\n', /unlisted: .*left-pad/),
];

function tidy(rule: string, path: string, text: string): Breach {
  return { check: "tidy", rule, path, text, says: new RegExp(`: ${rule}: `) };
}

const long = "\n".repeat(90);

const tidied: readonly Breach[] = [
  tidy("first-line", "platform/planted.ts", "export const planted = 1;\n"),
  tidy("file-length", "platform/planted.ts", `${DOC}${"\n".repeat(501)}`),
  tidy("function-length", "platform/planted.ts", `${DOC}export function planted(): void {${long}}\n`),
  tidy("reserved", "platform/planted.ts", `${DOC}export const planted = Date.now();\n`),
  tidy("reserved", "origin/planted.ts", `${DOC}export const planted = new Date();\n`),
  tidy("reserved", "origin/planted.ts", `${DOC}setTimeout(() => {}, 1);\n`),
  tidy("reserved", "scheduler/planted.ts", `${DOC}export const planted = Math.random();\n`),
  tidy("reserved", "edge-node/planted.ts", `${DOC}export const planted = process.env;\n`),
  tidy("reserved", "edge-node/planted.ts", `${DOC}export const planted = process.argv;\n`),
  tidy("sleeping-test", "platform/planted.test.ts", `${DOC}import { setTimeout } from "node:timers/promises";\n`),
  tidy("unparsed-json", "platform/planted.ts", `${DOC}export const planted = JSON.parse("1") as number;\n`),
  tidy("skipped-test", "platform/planted.test.ts", `${DOC}t.only("x");\n`),
  tidy("test-folder", "platform/planted.test.ts", `${DOC}export const planted = (t: Test) => t.testdir();\n`),
  tidy("unfinished", "platform/planted.ts", `${DOC}// TODO later\n`),
  tidy("machine-path", "platform/planted.ts", `${DOC}export const planted = "/root/x";\n`),
  tidy("banner-comment", "platform/planted.ts", `${DOC}// ==========\n`),
  tidy("name", "platform/utils.ts", DOC),
  { check: "tidy", rule: "empty folder", path: "platform/planted/for-later/", text: "", says: /"platform\/planted"/ },
];

export const BREACHES: readonly Breach[] = [...types, ...lint, ...imports, ...unused, ...tidied];

import fc from "fast-check";
import t from "tap";
import { Type } from "typebox";
import { loadConfig, parseOverrides } from "#platform/config/load.ts";
import { renderConfigReference } from "#platform/config/reference.ts";
import { parseSourceDocuments } from "#platform/yaml/documents.ts";

const Schema = Type.Object(
  {
    listen: Type.Object(
      { content: Type.String({ default: "127.0.0.1:7420", description: "Content listener." }) },
      { default: {}, additionalProperties: false },
    ),
    pool: Type.String({ description: "The pool." }),
    storeBytesMax: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1_000, description: "Disk quota." }),
    upstreams: Type.Array(Type.Object({ url: Type.String() }, { additionalProperties: false }), { default: [] }),
  },
  { additionalProperties: false },
);

function faultsOfText(text: string, set: string[] = []): string[] {
  try {
    loadConfig(Schema, { file: "edge.yaml", text, overrides: parseOverrides(set) });
    return [];
  } catch (error) {
    t.match(error, { code: "config-invalid" });
    return error instanceof Error ? error.message.split("\n") : [];
  }
}

t.test("defaults are applied and overrides win over the file", async (t) => {
  const overrides = parseOverrides(["storeBytesMax=5", "listen.content=[::1]:80"]);
  t.match(loadConfig(Schema, { text: "pool: near\n" }), {
    listen: { content: "127.0.0.1:7420" },
    storeBytesMax: 1_000,
  });
  t.throws(() => loadConfig(Schema, { text: "pool: near\n", overrides }), { message: /--set listen.content/ });
  const quoted = parseOverrides(["storeBytesMax=5", 'listen.content="[::1]:80"', "pool=far"]);
  t.strictSame(loadConfig(Schema, { text: "pool: near\n", overrides: quoted }), {
    listen: { content: "[::1]:80" },
    pool: "far",
    storeBytesMax: 5,
    upstreams: [],
  });
});

t.test("every fault is told at once with the line of its key, or the override it came from", async (t) => {
  const text = [
    "listen:",
    "  kontent: x",
    "storeBytesMax: 0",
    "pool: near",
    "upstreams:",
    "  - url: a",
    "  - url: 7",
  ].join("\n");
  const faults = faultsOfText(text, ["pool=3"]);
  const beginnings = [
    "edge.yaml:2: listen.kontent",
    "edge.yaml:3: storeBytesMax",
    "edge.yaml:7: upstreams[1].url",
    "--set pool: pool",
  ];
  for (const beginning of beginnings)
    t.ok(
      faults.some((fault) => fault.startsWith(beginning)),
      `${beginning} in ${faults.join("; ")}`,
    );
  t.equal(faults.length, beginnings.length);
});

t.test("a missing key, a broken file and a missing file are named", async (t) => {
  t.match(faultsOfText("storeBytesMax: 5"), [/^edge.yaml:\d+: .*pool/]);
  t.match(faultsOfText("pool: near\n  bad: [\n"), [/^edge.yaml:\d+: /]);
  t.match(faultsOfText("pool: near\npool: far\n"), [/^edge.yaml:2: .*unique/i]);
  t.match(faultsOfText("pool: a\n---\npool: b\n"), [/one YAML document/]);
  t.throws(() => loadConfig(Schema, { file: "/nowhere/edge.yaml" }), { code: "config-invalid", message: /nowhere/ });
});

t.test("an override must be a path and a value, and never reaches a prototype", async (t) => {
  for (const text of ["", "a", "=1", "a..b=1", "__proto__.x=1", "a.constructor=1"]) {
    t.throws(() => parseOverrides([text]), { code: "config-invalid" }, text);
  }
});

t.test("any text is read or refused by name, and aliases do not expand without bound", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          return Array.isArray(parseSourceDocuments(text, "x.yaml"));
        } catch (error) {
          return error instanceof Error && "code" in error && error.code === "argument-invalid";
        }
      }),
    ),
  );
  const levels = Array.from(
    { length: 12 },
    (_, level) => `l${level}: &l${level} [${level === 0 ? "x" : `*l${level - 1},`.repeat(9)}]`,
  );
  t.throws(() => parseSourceDocuments(levels.join("\n"), "bomb.yaml"), {
    code: "argument-invalid",
    message: /bomb.yaml/,
  });
});

t.test("the reference page has a row for each key", async (t) => {
  const page = renderConfigReference("edge-node", Schema);
  t.match(page, '| `listen.content` | string | `"127.0.0.1:7420"` | Content listener. |');
  t.match(page, "| `storeBytesMax` | integer 1..1000000 | `1000` | Disk quota. |");
  t.match(page, "| `pool` | string |  | The pool. |");
});

import t from "tap";
import { planSealing } from "./sealed-keys.ts";

const key = (node: string, sealedTo: string) => ({ node, sealedTo, sealed: `${node} ${sealedTo}` });
const before = { certificatePem: "one", keys: [key("a", "A"), key("b", "B")] };
const edge = (node: string, sealingKey?: string) => ({ node, sealingKey });

t.test("a table of pools", async (t) => {
  const cases: [string, Parameters<typeof planSealing>, ReturnType<typeof planSealing>][] = [
    [
      "the first certificate",
      [undefined, "one", [edge("a", "A"), edge("b")]],
      { kept: [], missing: [{ node: "a", sealedTo: "A" }] },
    ],
    ["nothing new", [before, "one", [edge("a", "A"), edge("b", "B")]], { kept: before.keys, missing: [] }],
    [
      "an edge that is away keeps its own",
      [before, "one", [edge("a", "A"), edge("b")]],
      { kept: before.keys, missing: [] },
    ],
    [
      "and gets the successor sealed to the key it had",
      [before, "two", [edge("a", "A"), edge("b")]],
      {
        kept: [],
        missing: [
          { node: "a", sealedTo: "A" },
          { node: "b", sealedTo: "B" },
        ],
      },
    ],
    [
      "an edge with another key",
      [before, "one", [edge("a", "C"), edge("b", "B")]],
      { kept: [key("b", "B")], missing: [{ node: "a", sealedTo: "C" }] },
    ],
    ["an edge that is gone", [before, "one", [edge("b", "B")]], { kept: [key("b", "B")], missing: [] }],
  ];
  for (const [name, facts, expected] of cases) t.same(planSealing(...facts), expected, name);
});

import t from "tap";
import { compileClientExpression, compilePoolExpression, EXPRESSION_NODES_MAX } from "./expressions.ts";

const pool = { name: "near", region: "eu", labels: { gpu: "l40s", tier: "1" }, latitude: 38.7, longitude: -9.1 };

function judge(text: string): string {
  const compiled = compilePoolExpression(text);
  if (compiled.kind === "invalid") return `invalid: ${compiled.reason}`;
  const judged = compiled.judge(pool);
  return judged.kind === "failed" ? `failed: ${judged.reason}` : judged.kind;
}

t.test("an expression of a pool says whether it holds, or why it could not be judged", async (t) => {
  t.equal(judge('pool.region == "eu" && pool.labels["gpu"] in ["l40s", "a10"]'), "holds");
  t.equal(judge('pool.name.startsWith("far") || pool.latitude > 50.0'), "does-not-hold");
  t.equal(judge('pool.labels.exists(label, label.startsWith("gp"))'), "holds");
  t.equal(judge('has(pool.labels.zone) && pool.labels["zone"] == "a"'), "does-not-hold");
  t.equal(judge('pool.labels["zone"] == "a"'), "failed: No such key: zone");
  t.match(judge('int(pool.labels["gpu"]) > 1'), /^failed: .*int/);
});

t.test("what is misspelt, ill typed or not a condition is refused before it runs", async (t) => {
  t.match(judge("pool.regoin == 'eu'"), /^invalid: No such key: regoin/);
  t.match(judge("node.region == 'eu'"), /^invalid: Unknown variable: node/);
  t.match(judge("pool.region == 1"), /^invalid: no such overload/);
  t.match(judge("pool.region"), /^invalid: must be true or false, it is a string/);
  t.match(judge("pool.region =="), /^invalid: Unexpected token/);
  t.match(compilePoolExpression(`pool.name == "${"a".repeat(2000)}"`), {
    kind: "invalid",
    reason: /2015 characters, at most 1024/,
  });
});

t.test("what could cost much is refused: regular expressions, walks within walks, many nodes", async (t) => {
  t.match(judge('pool.name.matches("(a+)+$")'), /^invalid: calls matches; what may be called is/);
  t.match(judge("pool.labels.exists(a, pool.labels.exists(b, a == b))"), /^invalid: walks a list within a walk/);
  t.match(judge('cel.bind(a, pool.name + pool.name, a == "")'), /^invalid: calls bind/);
  t.match(judge("[1].map(a, a).size() == 1"), /^invalid: calls map/);
  const long = Array.from({ length: EXPRESSION_NODES_MAX }, () => "1").join("+");
  t.match(judge(`${long} > 1`), /^invalid: Exceeded maxAstNodes/);
});

t.test("an expression of a client is asked of what is known, the rest being empty", async (t) => {
  const holds = (text: string, subject: object) => {
    const compiled = compileClientExpression(text);
    return compiled.kind === "invalid" ? compiled.reason : compiled.judge(subject).kind;
  };
  t.equal(holds('client.country == "DE" && client.asn == 64500', { country: "DE", asn: 64_500 }), "holds");
  t.equal(holds('client.country == "" && app == "hall" && tier == "strict"', { app: "hall", tier: "strict" }), "holds");
  t.equal(holds("device.decodeMs < 5.0", { device: { decodeMs: 8, jitterMs: 1 } }), "does-not-hold");
});

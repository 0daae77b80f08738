import t from "tap";
import { isHit, startWorld } from "./world.ts";

const world = await startWorld(t);
const { upstream } = world;

t.test(
  "103 Early Hints come through on a miss, before the upstream has its answer, and are not replayed on a hit (RFC 8297)",
  async (t) => {
    const held = Promise.withResolvers<void>();
    upstream.on("/hints", async ({ response }) => {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      await held.promise;
      response.writeHead(200, { "cache-control": "max-age=60" }).end("page");
    });
    const { answer, interim } = world.begin("/hints");
    const early = await interim;
    t.same([early.status, early.headers["link"]], [103, "</style.css>; rel=preload"]);
    held.resolve();
    const first = await answer;
    t.equal((await first.whole()).toString(), "page");
    t.equal(first.headers["link"], undefined, "what the 103 says is not of the answer");
    await world.settle();
    const hit = await world.ask("/hints");
    t.ok(isHit(hit));
    t.same(hit.interim, []);
  },
);

t.test("a body is sent on only after its sender was told to go on (RFC 9110 section 10.1.1)", async (t) => {
  upstream.on("/continue", async ({ request, response }) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    response.writeHead(200, { "cache-control": "no-store" }).end(text);
  });
  const answer = await world.ask("/continue", { method: "POST", headers: { expect: "100-continue" }, body: "body" });
  t.same([answer.status, answer.text], [200, "body"]);
});

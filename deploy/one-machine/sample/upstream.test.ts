import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { startSampleUpstream } from "./upstream.ts";

t.test("pages may be kept and validated, the time may not, and what is not there says so", async (t) => {
  const upstream = await startSampleUpstream({ host: "127.0.0.1", port: 0 }, new VirtualClock());
  t.teardown(() => upstream[Symbol.asyncDispose]());
  const url = `http://127.0.0.1:${upstream.address.port}`;
  const article = await fetch(`${url}/articles/3`);
  t.equal(article.headers.get("cache-control"), "max-age=60");
  t.match(await article.text(), /Article 3/);
  const etag = article.headers.get("etag") ?? "";
  const validated = await fetch(`${url}/articles/3`, { headers: { "if-none-match": etag } });
  t.equal(validated.status, 304);
  const head = await fetch(url, { method: "HEAD" });
  t.ok(Number(head.headers.get("content-length")) > 0);
  t.equal(await head.text(), "");
  const now = await fetch(`${url}/now`);
  t.equal(now.headers.get("cache-control"), "no-store");
  t.equal(await now.text(), "2023-11-14T22:13:20.000Z\n");
  t.equal((await fetch(`${url}/articles/13`)).status, 404);
  t.equal((await fetch(url, { method: "POST" })).status, 405);
});

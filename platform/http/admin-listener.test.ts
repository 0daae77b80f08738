import t from "tap";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import { createMetrics } from "#platform/metrics/metrics.ts";

t.test("those who run a program see its metrics, health and readiness with reasons", async (t) => {
  const metrics = createMetrics("edge-node");
  metrics.counter("requests_total", "Requests.", ["outcome"]).inc({ outcome: "hit" });
  let ready = false;
  await using listener = await startAdminListener({
    address: { host: "127.0.0.1", port: 0 },
    metrics,
    readiness: (question) => ({ ready: question === "offline" || ready, reasons: [`asked for ${question}`] }),
  });
  const get = (path: string, init?: RequestInit): Promise<Response> =>
    fetch(`http://127.0.0.1:${listener.address.port}${path}`, { signal: AbortSignal.timeout(5_000), ...init });

  const exposition = await (await get("/metrics")).text();
  t.match(exposition, 'perigee_edge_node_requests_total{outcome="hit"} 1');
  t.match(exposition, "process_cpu_seconds_total");
  t.match(exposition, "process_resident_memory_bytes");
  t.strictSame(await (await get("/healthz")).json(), { status: "ok" });
  const unready = await get("/readyz");
  t.strictSame([unready.status, await unready.json()], [503, { ready: false, reasons: ["asked for now"] }]);
  t.equal((await get("/readyz?offline")).status, 200);
  ready = true;
  t.equal((await get("/readyz")).status, 200);
  t.equal((await get("/elsewhere")).status, 404);
  t.equal((await get("/metrics", { method: "POST" })).status, 405);
});

t.test("an address that is taken is named", async (t) => {
  const options = {
    metrics: createMetrics("origin"),
    readiness: () => ({ ready: true, reasons: [] }),
  };
  await using first = await startAdminListener({ address: { host: "127.0.0.1", port: 0 }, ...options });
  await t.rejects(startAdminListener({ address: first.address, ...options }), {
    code: "unavailable",
    message: `cannot listen on 127.0.0.1:${first.address.port}`,
  });
});

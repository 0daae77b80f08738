import t from "tap";
import { urlsOf } from "./proofs.ts";

t.test("a proof may name the node by any host name under its own, or by a site's, and no other", async (t) => {
  const isSite = (host: string | undefined) => /^vr\.example(:|$)/i.test(host ?? "");
  const node = { contentUrl: "http://near-1.edge.test:7420", hostname: "near-1.edge.test", isSite };
  const own = "http://near-1.edge.test:7420/p";
  t.same(urlsOf("/p", undefined, node), [own]);
  t.same(urlsOf("/p", "evil.test", node), [own]);
  t.same(urlsOf("/p", "evilnear-1.edge.test", node), [own]);
  t.same(urlsOf("/p", "vr.near-1.edge.test:9000", node), [own, "http://vr.near-1.edge.test:9000/p"]);
  t.same(urlsOf("/p", "NEAR-1.edge.test", node), [own, "http://near-1.edge.test/p"]);
  t.same(urlsOf("/p", "VR.example:7410", node), [own, "http://vr.example:7410/p"]);
  t.same(urlsOf("/p", "vr.example", { ...node, contentUrl: "https://near-1.edge.test" }), [
    "https://near-1.edge.test/p",
    "https://vr.example/p",
  ]);
});

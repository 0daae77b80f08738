import t from "tap";
import { siteUrlOf } from "./steering-table.ts";

t.test("a site at a node has the node's scheme and port", async (t) => {
  t.equal(siteUrlOf({ contentUrl: "http://10.0.0.1:7420", hostname: "n.test" }, "shop"), "http://shop.n.test:7420");
  t.equal(siteUrlOf({ contentUrl: "https://n.test", hostname: "n.test" }, "shop"), "https://shop.n.test");
});

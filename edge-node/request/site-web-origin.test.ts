import t from "tap";
import { siteWebOrigin } from "./site-web-origin.ts";

t.test("a site's own names stand for themselves, and a node's name for it for the first of them", async (t) => {
  const hostnames = ["Shop.example", "www.shop.example"];
  t.equal(siteWebOrigin("https://shop.example", hostnames), "https://shop.example");
  t.equal(siteWebOrigin("http://www.shop.example:8080", hostnames), "http://www.shop.example");
  t.equal(siteWebOrigin("https://shop.edge-1.test:7420", hostnames), "https://shop.example");
  t.equal(siteWebOrigin("https://[::1]:7420", []), "https://[::1]");
});

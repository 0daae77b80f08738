import t from "tap";
import { machineIn } from "./machine.ts";

const token = "x".repeat(43);
const hash = `#machine=7491.${token}`;

t.test("a page of the one-machine start finds it in its address", (t) => {
  for (const hostname of ["vr.near-1.edge.localhost", "localhost", "127.0.0.1"]) {
    t.same(machineIn({ hostname, hash }), { url: "http://127.0.0.1:7491", token }, hostname);
  }
  t.end();
});

t.test("a page that is served from elsewhere, or has another fragment, has none", (t) => {
  for (const hostname of ["vr.example", "localhost.example", "vr.notlocalhost", "10.0.0.1", "127.0.0.1.example"]) {
    t.equal(machineIn({ hostname, hash }), undefined, hostname);
  }
  for (const other of [
    "",
    "#",
    "#machine=",
    `#machine=7491.${token}x`,
    `#machine=evil.example:1.${token}`,
    `${hash}&`,
  ]) {
    t.equal(machineIn({ hostname: "localhost", hash: other }), undefined, other);
  }
  t.end();
});

import t from "tap";
import { PULLED_SIZES_BYTES, pulledBody, pulledBytes, pulledPath } from "./plan.ts";

t.test("a path of the pulled site says its size, and its body says its path", async (t) => {
  for (const bytes of PULLED_SIZES_BYTES) {
    const path = pulledPath("cold", "r1-17", bytes);
    t.equal(pulledBytes(path), bytes, path);
    const body = pulledBody(path, bytes);
    t.equal(body.length, bytes, path);
    t.ok(body.startsWith(path), path);
  }
  for (const path of ["/", "/hot/1/1025", "/hot/1", "/other/1/1024", "/hot/../1024", "/hot/1/1024/"]) {
    t.equal(pulledBytes(path), undefined, path);
  }
});

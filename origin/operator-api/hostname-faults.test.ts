/** Host names are compared without case, and a stored site that the request changes holds only what it then has. */
import t from "tap";
import { hostnameFaults } from "./hostname-faults.ts";

const site = (name: string, ...hostnames: string[]) => ({ name, spec: { hostnames } });

t.test("a name is the same name in any case", async (t) => {
  t.match(hostnameFaults([site("cafe", "A.example")], [site("shop", "a.EXAMPLE")]), [
    [{ pointer: "/spec/hostnames/0", message: /A\.example is held by Site shop/ }],
  ]);
});

t.test("a site may keep its names, and take what the request takes from another", async (t) => {
  const stored = [site("shop", "a.example"), site("cafe", "b.example")];
  t.same(hostnameFaults([site("shop", "a.example")], stored), [[]]);
  t.same(hostnameFaults([site("shop", "b.example"), site("cafe", "a.example")], stored), [[], []]);
});

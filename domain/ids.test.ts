import fc from "fast-check";
import t from "tap";
import { isFailure } from "./failure.ts";
import { HOST_NAME_LENGTH_MAX, isName, parseHostName, parseName } from "./ids.ts";

t.test("a name is a DNS label of at most 63 characters", async (t) => {
  for (const good of ["a", "a-b", "0", "a".repeat(63)]) t.ok(isName(good), good);
  for (const bad of ["", "-a", "a-", "A", "a.b", "a_b", "a".repeat(64), "a\n"])
    t.notOk(isName(bad), JSON.stringify(bad));
});

t.test("a bad name is refused with what was expected", async (t) => {
  try {
    parseName("Shop", "metadata.name");
    t.fail("must throw");
  } catch (error) {
    t.ok(isFailure(error, "argument-invalid"));
    t.match(String(error), /metadata\.name must be a DNS label.*"Shop"/);
  }
});

t.test("a host name is labels joined by dots, whatever its case", async (t) => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 5 }), (labels) => {
      const host = labels.join(".");
      return parseHostName(host.toUpperCase()) === host;
    }),
  );
  t.equal(parseHostName("a..b"), undefined);
  t.equal(parseHostName("a b"), undefined);
  t.equal(parseHostName(`${"a.".repeat(HOST_NAME_LENGTH_MAX)}a`), undefined);
});

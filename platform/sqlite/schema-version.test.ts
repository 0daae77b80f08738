/** Two words for one schema: which are a program's, and which are rot. */
import t from "tap";
import { decideSchemaVersion, markOf, SCHEMA_VERSION_MAX } from "./schema-version.ts";

const NEWEST = 5;

t.test("a schema that is said twice is known or newer, and what was never marked is known or rot", async (t) => {
  const cases = [
    { userVersion: 0, applicationId: 0, decided: { kind: "known", version: 0, isMarked: false } },
    { userVersion: 5, applicationId: 0, decided: { kind: "known", version: 5, isMarked: false } },
    { userVersion: 6, applicationId: 0, decided: { kind: "broken" } },
    { userVersion: -1, applicationId: 0, decided: { kind: "broken" } },
    { userVersion: 3, applicationId: markOf(3), decided: { kind: "known", version: 3, isMarked: true } },
    { userVersion: 6, applicationId: markOf(6), decided: { kind: "newer", version: 6 } },
    { userVersion: 0, applicationId: markOf(0), decided: { kind: "broken" } },
    { userVersion: SCHEMA_VERSION_MAX + 1, applicationId: markOf(SCHEMA_VERSION_MAX + 1), decided: { kind: "broken" } },
  ];
  for (const { decided, ...versions } of cases) {
    t.match(decideSchemaVersion(versions, NEWEST), decided, JSON.stringify(versions));
  }
});

t.test("no bit that turns over in either word makes another schema of it", async (t) => {
  for (let version = 1; version <= NEWEST; version += 1) {
    for (let bit = 0; bit < 32; bit += 1) {
      const flip = (word: number): number => word ^ (1 << bit);
      const [userVersion, applicationId] = [version, markOf(version)];
      const rotten = [
        { userVersion: flip(userVersion), applicationId },
        { userVersion, applicationId: flip(applicationId) },
      ];
      for (const one of rotten) t.equal(decideSchemaVersion(one, NEWEST).kind, "broken", JSON.stringify(one));
    }
  }
});

import t from "tap";
import { fuzzDns } from "./dns.ts";

const CASES = 20_000;

t.test(
  "whatever a message is, it is answered within bounds, or dropped where nobody waits for an answer",
  async (t) => {
    const { queries, answered, ignored, faults } = fuzzDns({ cases: CASES, seed: 7 });
    t.same(faults, []);
    t.ok(answered > CASES / 20, `${answered} answered with records`);
    t.ok(queries > CASES / 2 && ignored > CASES / 100, `${queries} answered, ${ignored} ignored`);
  },
);

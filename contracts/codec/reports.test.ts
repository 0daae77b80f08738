import { isDeepStrictEqual } from "node:util";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import t from "tap";
import { ReportBatchSchema } from "../generated/perigee/v1/node_pb.js";
import { fromReportBatch, type NodeReportBatch, toReportBatch } from "./reports.ts";

const whole = fc.nat(Number.MAX_SAFE_INTEGER);
const batch: fc.Arbitrary<NodeReportBatch> = fc.record({
  sequence: whole,
  reports: fc.array(
    fc.record({ id: fc.string(), kind: fc.string(), atMs: whole, json: fc.json() }, { noNullPrototype: true }),
    { maxLength: 5 },
  ),
});

t.test("reports come back from the wire as they were", async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(batch, (value) => {
        const bytes = toBinary(ReportBatchSchema, toReportBatch(value));
        return isDeepStrictEqual(fromReportBatch(fromBinary(ReportBatchSchema, bytes)), structuredClone(value));
      }),
      { numRuns: 100 },
    ),
  );
});

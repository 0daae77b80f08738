import t from "tap";
import { MISSING_BUNDLE_MS_MAX, missingBundleMs } from "./missing-bundle.ts";

t.test(
  "missing bytes of a scene cost what waiting for them does, up to a bound; a whole scene costs nothing",
  async (t) => {
    const fillBytesPerSecond = 10_000_000;
    t.equal(missingBundleMs({ missingBytes: 0, fillBytesPerSecond }), 0);
    t.equal(
      missingBundleMs({ missingBytes: 0, fillBytesPerSecond: 0 }),
      0,
      "nothing is fetched, and nothing is missing",
    );
    t.equal(missingBundleMs({ missingBytes: 20_000_000, fillBytesPerSecond }), 8);
    t.equal(missingBundleMs({ missingBytes: 5_000_000, fillBytesPerSecond }), 2);
    t.equal(missingBundleMs({ missingBytes: 1e12, fillBytesPerSecond }), MISSING_BUNDLE_MS_MAX);
    t.equal(missingBundleMs({ missingBytes: 1, fillBytesPerSecond: 0 }), MISSING_BUNDLE_MS_MAX, "it is cut off");
  },
);

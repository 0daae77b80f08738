import fc from "fast-check";
import t from "tap";
import { VirtualClock } from "#test/simulation/virtual-clock.ts";
import { RELAY_HELD_MS_MAX, RELAY_LEAD_BYTES_MAX, RelayLead } from "./relay-lead.ts";

const MB = 1024 * 1024;

/** Whether it was granted by now. */
function taking(lead: RelayLead, digest: string, start: number, end: number): () => boolean {
  let isGranted = false;
  void lead.take(digest, start, end).then(() => {
    isGranted = true;
  });
  return () => isGranted;
}

t.test("no more is fetched than siblings have come along with, over all blobs", async (t) => {
  const clock = new VirtualClock();
  const lead = new RelayLead(clock);
  using _one = lead.readBy("one");
  using _two = lead.readBy("two");
  const first = taking(lead, "one", 0, 2 * MB);
  const second = taking(lead, "two", 0, MB);
  const third = taking(lead, "two", MB, 2 * MB);
  await clock.settle();
  t.same([first(), second(), third()], [true, true, false]);
  lead.sent("one", MB);
  await clock.settle();
  t.equal(third(), true);
  t.equal(lead.bytes, RELAY_LEAD_BYTES_MAX);
});

t.test("what no sibling reads leaves room for what one waits for", async (t) => {
  const clock = new VirtualClock();
  const lead = new RelayLead(clock);
  const unread = [taking(lead, "one", 0, MB), taking(lead, "two", 0, MB)];
  await clock.settle();
  t.same(
    unread.map((isGranted) => isGranted()),
    [true, false],
  );
  using _reading = lead.readBy("two");
  await clock.settle();
  t.equal(unread[1]?.(), true);
});

t.test("where nobody comes along it goes on alone, until somebody does", async (t) => {
  const clock = new VirtualClock();
  const lead = new RelayLead(clock);
  await lead.take("one", 0, MB);
  const next = taking(lead, "one", MB, 2 * MB);
  await clock.advance(RELAY_HELD_MS_MAX - 1);
  t.equal(next(), false);
  await clock.advance(1);
  t.equal(next(), true);
  await lead.take("one", 2 * MB, 20 * MB);
  t.equal(lead.bytes, 0);
  lead.sent("one", 20 * MB);
  await lead.take("two", 0, MB);
  const held = taking(lead, "two", MB, 2 * MB);
  await clock.settle();
  t.equal(held(), false);
});

t.test("whatever is taken, sent and given back, the bytes that nobody has stay within the limit", async (t) => {
  const operation = fc.record({
    kind: fc.constantFrom("take", "sent", "give-back", "read"),
    blob: fc.constantFrom("one", "two", "three"),
    bytes: fc.integer({ min: 1, max: MB }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
      const clock = new VirtualClock(0, 1);
      const lead = new RelayLead(clock);
      const ends = new Map<string, number>();
      for (const { kind, blob, bytes } of operations) {
        const end = ends.get(blob) ?? 0;
        if (kind === "take") {
          ends.set(blob, end + bytes);
          taking(lead, blob, end, end + bytes);
        } else if (kind === "sent") lead.sent(blob, bytes);
        else if (kind === "give-back") lead.giveBack(blob, bytes);
        else lead.readBy(blob);
        await clock.settle();
        t.ok(lead.bytes >= 0 && lead.bytes <= RELAY_LEAD_BYTES_MAX, `${lead.bytes} bytes`);
      }
    }),
    { numRuns: 40 },
  );
});

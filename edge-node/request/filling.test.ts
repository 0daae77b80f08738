import t from "tap";
import type { Written } from "../store/body-file.ts";
import { FILLING_BYTES_MAX, Filling } from "./filling.ts";

const PIECE_BYTES = 256 * 1024;
const PIECES = 40;
const pieces = Array.from({ length: PIECES }, (_, index) => Buffer.alloc(PIECE_BYTES, index + 1));
const whole = Buffer.concat(pieces);

/** A disk that has written what it was told it has. */
function disk() {
  const state = { written: 0, opened: 0, closed: 0 };
  const written = (): Written => ({
    bytes: state.written,
    async open() {
      state.opened += 1;
      return {
        read: async (start, end) => whole.subarray(start, Math.min(end, state.written, start + 100_000)),
        async [Symbol.asyncDispose]() {
          state.closed += 1;
        },
      };
    },
  });
  return { state, written };
}

async function gather(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

t.test("with a disk nobody holds up a body, and who comes late gets all of it", async (t) => {
  const { state, written } = disk();
  const filling = new Filling();
  filling.spillTo({ written, isInMemory: () => false });
  const idle = filling.read();
  const started = idle.next();
  for (const piece of pieces.slice(0, 30)) {
    state.written += piece.byteLength;
    t.ok(await filling.push(piece));
  }
  t.ok(30 * PIECE_BYTES > FILLING_BYTES_MAX && filling.isJoinable);
  const late = gather(filling.read());
  for (const piece of pieces.slice(30)) {
    state.written += piece.byteLength;
    await filling.push(piece);
  }
  filling.finish();
  t.ok((await late).equals(whole));
  const first = Buffer.from((await started).value ?? []);
  t.ok(Buffer.concat([first, await gather(idle)]).equals(whole), "one that stood still has missed nothing");
  t.strictSame([state.opened, state.closed], [1, 1], "one file, closed after the last reader");
});

t.test("a body that is stored in memory is held up by nobody while it is", async (t) => {
  const filling = new Filling();
  let isInMemory = true;
  filling.spillTo({ written: () => undefined, isInMemory: () => isInMemory });
  const idle = filling.read();
  for (const piece of pieces.slice(0, 30)) await filling.push(piece);
  t.ok(filling.isJoinable);
  isInMemory = false;
  const rest = gather(idle);
  for (const piece of pieces.slice(30)) await filling.push(piece);
  filling.finish();
  t.ok((await rest).equals(whole));
});

t.test("without a disk it goes at the pace of its slowest reader", async (t) => {
  const filling = new Filling();
  const reader = filling.read();
  let isDone = false;
  const pushing = (async () => {
    for (const piece of pieces) await filling.push(piece);
    filling.finish();
    isDone = true;
  })();
  const first = await reader.next();
  t.ok(first.value !== undefined && Buffer.from(first.value).equals(pieces[0] ?? Buffer.alloc(0)));
  t.ok(filling.isJoinable);
  const second = await reader.next();
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(isDone);
  t.notOk(filling.isJoinable, "its beginning is gone");
  const rest = await gather(reader);
  await pushing;
  t.equal(Buffer.concat([Buffer.from(second.value ?? []), rest]).byteLength, whole.byteLength - PIECE_BYTES);
});

t.test("a body that fails fails for all who read it, whatever they have read", async (t) => {
  const filling = new Filling();
  const reading = gather(filling.read());
  await filling.push(Buffer.from("a"));
  filling.fail(new Error("cut"));
  await t.rejects(reading, { message: "cut" });
});

/** What goes up by one stream: the own messages first, of each sibling the newest of a kind. */
import t from "tap";
import { Upward } from "./upward.ts";

/** Gives what it is told to, when it is told to. */
class Own {
  readonly #given: string[] = [];
  #wake: () => void = () => undefined;
  isEnded = false;

  give(...messages: readonly string[]): void {
    this.#given.push(...messages);
    this.#wake();
  }

  end(): void {
    this.isEnded = true;
    this.#wake();
  }

  async *messages(): AsyncGenerator<string> {
    for (;;) {
      const next = this.#given.shift();
      if (next !== undefined) yield next;
      else if (this.isEnded) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

t.test("own messages and those of siblings come as they are put, and it ends with its own", async (t) => {
  const own = new Own();
  const upward = new Upward<string>();
  const merged = upward.merge(own.messages(), (value) => `for ${value}`);
  own.give("hello");
  t.equal((await merged.next()).value, "hello");
  const waiting = merged.next();
  upward.put("near-1", "status", "near-1: 1");
  t.equal((await waiting).value, "for near-1: 1", "one that waited is woken by a sibling");
  const other = merged.next();
  own.give("pong");
  t.equal((await other).value, "pong", "and by its own");
  own.end();
  t.equal((await merged.next()).done, true);
});

t.test(
  "the newest of a kind takes the place of what waits, and a sibling that is gone says nothing more",
  async (t) => {
    const own = new Own();
    const upward = new Upward<string>();
    for (const value of ["1", "2"]) upward.put("near-1", "status", value);
    for (const kind of ["hello", "status"]) upward.put("near-2", kind, kind);
    upward.replaceAll("near-2", "gone", "gone");
    const merged = upward.merge(own.messages(), (value) => value);
    t.equal((await merged.next()).value, "2");
    t.equal((await merged.next()).value, "gone");
    upward.put("near-3", "status", "3");
    upward.clear();
    own.end();
    t.equal((await merged.next()).done, true);
  },
);

t.test("what its own messages throw ends it", async (t) => {
  const broken = new Error("the link has ended");
  const merged = new Upward<string>().merge(
    (async function* () {
      yield "hello";
      throw broken;
    })(),
    (value) => value,
  );
  await merged.next();
  await t.rejects(merged.next(), broken);
});

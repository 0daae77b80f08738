/** Runs one task after another, for decisions that go by what the one before it took. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Of tasks that its caller bounds, in number and in time. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(task, task);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

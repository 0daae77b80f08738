/** The most sessions that can be within their limit, whoever comes first: maximum flow (Dinic 1970). */

interface Network {
  /** Cells and the pools within their limit, in compressed rows. */
  readonly firstOf: Uint32Array;
  readonly pools: Uint16Array;
  readonly demand: ArrayLike<number>;
  readonly capacity: ArrayLike<number>;
}

/** O(pairs · √vertices) and less in practice. */
export function maxFlow(network: Network): number {
  return new Dinic(network).run();
}

class Dinic {
  readonly #first: Int32Array;
  readonly #next: number[] = [];
  readonly #head: number[] = [];
  readonly #room: number[] = [];
  readonly #source: number;
  readonly #sink: number;
  readonly #level: Int32Array;
  readonly #at: Int32Array;

  constructor({ firstOf, pools, demand, capacity }: Network) {
    const cells = firstOf.length - 1;
    this.#source = cells + capacity.length;
    this.#sink = this.#source + 1;
    this.#first = new Int32Array(this.#sink + 1).fill(-1);
    this.#level = new Int32Array(this.#sink + 1);
    this.#at = new Int32Array(this.#sink + 1);
    for (let cell = 0; cell < cells; cell += 1) {
      this.#join(this.#source, cell, demand[cell] ?? 0);
      for (let pair = firstOf[cell] ?? 0; pair < (firstOf[cell + 1] ?? 0); pair += 1) {
        this.#join(cell, cells + (pools[pair] ?? 0), demand[cell] ?? 0);
      }
    }
    for (let pool = 0; pool < capacity.length; pool += 1) this.#join(cells + pool, this.#sink, capacity[pool] ?? 0);
  }

  run(): number {
    let flow = 0;
    while (this.#levels()) {
      this.#at.set(this.#first);
      for (let pushed = this.#push(this.#source, Number.POSITIVE_INFINITY); pushed > 0; ) {
        flow += pushed;
        pushed = this.#push(this.#source, Number.POSITIVE_INFINITY);
      }
    }
    return flow;
  }

  #join(from: number, to: number, room: number): void {
    this.#add(from, to, room);
    this.#add(to, from, 0);
  }

  #add(from: number, to: number, room: number): void {
    this.#next.push(this.#first[from] ?? -1);
    this.#first[from] = this.#head.length;
    this.#head.push(to);
    this.#room.push(room);
  }

  #levels(): boolean {
    this.#level.fill(-1);
    this.#level[this.#source] = 0;
    const queue = [this.#source];
    for (let index = 0; index < queue.length; index += 1) {
      const vertex = queue[index] ?? 0;
      for (let edge = this.#first[vertex] ?? -1; edge >= 0; edge = this.#next[edge] ?? -1) {
        const to = this.#head[edge] ?? 0;
        if ((this.#room[edge] ?? 0) <= 0 || (this.#level[to] ?? 0) >= 0) continue;
        this.#level[to] = (this.#level[vertex] ?? 0) + 1;
        queue.push(to);
      }
    }
    return (this.#level[this.#sink] ?? -1) >= 0;
  }

  #push(vertex: number, most: number): number {
    if (vertex === this.#sink) return most;
    for (let edge = this.#at[vertex] ?? -1; edge >= 0; edge = this.#next[edge] ?? -1) {
      this.#at[vertex] = edge;
      const to = this.#head[edge] ?? 0;
      const room = this.#room[edge] ?? 0;
      if (room <= 0 || this.#level[to] !== (this.#level[vertex] ?? 0) + 1) continue;
      const pushed = this.#push(to, Math.min(most, room));
      if (pushed <= 0) continue;
      this.#room[edge] = room - pushed;
      this.#room[edge ^ 1] = (this.#room[edge ^ 1] ?? 0) + pushed;
      return pushed;
    }
    this.#at[vertex] = -1;
    return 0;
  }
}

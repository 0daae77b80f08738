/** Texts that processes tell each other in turns, through a stream in Redis: each reads what the others told since it read last. */
import Type from "typebox";
import { Value } from "typebox/value";
import { type RedisScripts, redisScript } from "./redis-scripts.ts";

/** One more turn, where there is one, and what came after the last that this process has read; the newest's id tells a stream that began again. */
const EXCHANGE = redisScript(`
local time = redis.call('TIME')
if ARGV[2] ~= '' then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*', 'by', ARGV[1], 'told', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local found = {}
for _, turn in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[3], '+', 'COUNT', ARGV[6])) do
  found[#found + 1] = { turn[1], turn[2][2], turn[2][4] or '' }
end
return { time[1] * 1000 + math.floor(time[2] / 1000), newest[1] and newest[1][1] or '0-0', found }`);

const id = Type.String({ pattern: "^\\d+-\\d+$" });
const Answer = Type.Tuple([Type.Number(), id, Type.Array(Type.Tuple([id, Type.String(), Type.String()]))]);

export interface ToldStreamOptions {
  readonly redis: Pick<RedisScripts, "run">;
  readonly key: string;
  /** Of this process since it started: what it told itself is not read. */
  readonly incarnation: string;
  /** Of all who tell. */
  readonly turnsKeptMax: number;
  /** By one script: what is longer is read by the next one. */
  readonly turnsPerReadMax: number;
  /** After the last turn. */
  readonly lifetimeMs: number;
}

export interface ToldTurn {
  readonly id: string;
  /** Incarnation of who told it. */
  readonly by: string;
  readonly text: string;
  /** By the clock of Redis. */
  readonly ageMs: number;
}

export interface ToldTurns {
  readonly turns: readonly ToldTurn[];
  /** Whether there is more to read now. */
  readonly isBehind: boolean;
}

export class ToldStream {
  readonly #options: ToldStreamOptions;
  #cursor = "0-0";

  constructor(options: ToldStreamOptions) {
    this.#options = options;
  }

  /** Tells, unless the text is empty, and gives what others told since the last call: at the first all that is kept. Throws a retryable `unavailable`. */
  async exchange(text: string): Promise<ToldTurns> {
    const { redis, key, incarnation, turnsKeptMax, turnsPerReadMax, lifetimeMs } = this.#options;
    const words = [incarnation, text, this.#cursor, lifetimeMs, turnsKeptMax, turnsPerReadMax];
    const [serverMs, newest, found] = Value.Parse(Answer, await redis.run(EXCHANGE, [key], words));
    this.#cursor = found.at(-1)?.[0] ?? this.#cursor;
    if (found.length === 0 && compareIds(newest, this.#cursor) < 0) this.#cursor = "0-0";
    const turns = found
      .filter(([, by]) => by !== incarnation)
      .map(([id, by, text]) => ({ id, by, text, ageMs: Math.max(0, serverMs - timeOf(id)) }));
    return { turns, isBehind: found.length === turnsPerReadMax };
  }
}

/** A stream's ids are `ms-sequence` of the server's clock. */
function timeOf(id: string): number {
  return Number(id.slice(0, id.indexOf("-")));
}

function compareIds(a: string, b: string): number {
  const sequenceOf = (id: string) => Number(id.slice(id.indexOf("-") + 1));
  return timeOf(a) - timeOf(b) || sequenceOf(a) - sequenceOf(b);
}

/** A client of etcd over gRPC: asks one member, and the next where that one does not answer. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  KV,
  Maintenance,
  type RangeRequestSchema,
  type RangeResponse,
  type TxnRequestSchema,
  type TxnResponse,
  Watch,
  type WatchCreateRequestSchema,
  type WatchResponse,
} from "#contracts/generated/etcdserverpb/etcd_pb.js";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { backoffMs, type RetryPolicy } from "#platform/concurrency/retry.ts";
import { type ClientTls, createGrpcClient, type GrpcClient } from "#platform/grpc/client.ts";
import type { Random } from "#platform/random.ts";

const DEFAULT_PORT = 2379;
/** The oldest that the contract suite has been run against. */
const VERSION_MIN = [3, 4] as const;
/** One member, one question: an election takes a second, so a member that says nothing for two is asked no longer. */
const CALL_MS_MAX = 2_000;
/** A page of a hundred values, each as large as etcd takes a request by default (1.5 MiB). */
const ANSWER_BYTES_MAX = 160 * 1024 * 1024;
/** etcd hangs up on who pings more often than every 5 s (`--grpc-keepalive-min-time`). */
const ETCD_KEEPALIVE_MS = 6_000;
const BETWEEN_MEMBERS: RetryPolicy = { attemptsMax: Number.POSITIVE_INFINITY, baseMs: 20, capMs: 500 };

export interface EtcdClientOptions {
  /** `http://host:port` or `https://host:port`, each of a member of one cluster. */
  readonly endpoints: readonly string[];
  /** For members at `https:`. */
  readonly tls?: Pick<ClientTls, "authoritiesPem" | "own">;
  readonly clock: Clock;
  readonly random: Random;
}

interface Member {
  readonly endpoint: string;
  readonly kv: GrpcClient<typeof KV>;
  readonly watch: GrpcClient<typeof Watch>;
  readonly maintenance: GrpcClient<typeof Maintenance>;
}

/** Throws `config-invalid` for an endpoint that is none; everything else that it throws names the member asked last. */
export class EtcdClient implements Disposable {
  readonly #members: readonly Member[];
  readonly #options: EtcdClientOptions;
  #at = 0;

  constructor(options: EtcdClientOptions) {
    this.#options = options;
    this.#members = options.endpoints.map((endpoint) => memberAt(endpoint, options.tls));
  }

  range(request: MessageInitShape<typeof RangeRequestSchema>, signal: AbortSignal): Promise<RangeResponse> {
    return this.#ask(({ kv }, limits) => kv.range(request, limits), signal);
  }

  /** May be sent twice: what it compares has to make a second one fail. */
  txn(request: MessageInitShape<typeof TxnRequestSchema>, signal: AbortSignal): Promise<TxnResponse> {
    return this.#ask(({ kv }, limits) => kv.txn(request, limits), signal);
  }

  /** Of etcd's own history. Nothing where it is compacted as far. */
  async compact(revision: bigint, signal: AbortSignal): Promise<void> {
    try {
      await this.#ask(({ kv }, limits) => kv.compact({ revision }, limits), signal);
    } catch (error) {
      if (!isFailure(error, "revision-compacted")) throw error;
    }
  }

  /** Throws `config-invalid` for an etcd that is too old. */
  async checkVersion(signal: AbortSignal): Promise<void> {
    const { version } = await this.#ask(({ maintenance }, limits) => maintenance.status({}, limits), signal);
    const [major = 0, minor = 0] = version.split(".").map(Number);
    const [majorMin, minorMin] = VERSION_MIN;
    if (major > majorMin || (major === majorMin && minor >= minorMin)) return;
    throw new Failure(
      "config-invalid",
      `etcd at ${this.#member.endpoint} is ${version}, the log needs ${VERSION_MIN.join(".")} or newer: upgrade it`,
    );
  }

  /** From one member, until that fails: the next is asked by the next watch. Throws `revision-compacted` too. */
  async *watch(
    request: MessageInitShape<typeof WatchCreateRequestSchema>,
    signal: AbortSignal,
  ): AsyncGenerator<WatchResponse> {
    const { endpoint, watch } = this.#member;
    const ended = new AbortController();
    const limits = { signal: AbortSignal.any([signal, ended.signal]) };
    async function* requests() {
      yield { requestUnion: { case: "createRequest" as const, value: request } };
      await new Promise<void>((resolve) => {
        if (limits.signal.aborted) resolve();
        limits.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    try {
      for await (const response of watch.watch(requests(), limits)) {
        if (response.canceled) throw cancelled(response);
        yield response;
      }
      throw new Failure("unavailable", "the watch has ended", { retryable: true });
    } catch (error) {
      if (signal.aborted) throw error;
      this.#next(endpoint);
      throw named(error, endpoint);
    } finally {
      ended.abort();
    }
  }

  [Symbol.dispose](): void {
    for (const { kv, watch, maintenance } of this.#members)
      for (const client of [kv, watch, maintenance]) client[Symbol.dispose]();
  }

  get #member(): Member {
    const member = this.#members[this.#at];
    if (member === undefined) throw new Failure("config-invalid", "log.etcd.endpoints names no member of etcd");
    return member;
  }

  /** Not where another call has gone on from it already. */
  #next(failed: string): void {
    if (this.#member.endpoint === failed) this.#at = (this.#at + 1) % this.#members.length;
  }

  /** Until the signal is aborted; then `unavailable`. */
  async #ask<T>(
    call: (member: Member, limits: { signal: AbortSignal }) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { clock, random } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const member = this.#member;
      try {
        return await call(member, { signal: clock.deadline(CALL_MS_MAX, signal) });
      } catch (error) {
        const failure = named(error, member.endpoint);
        if (!failure.retryable) throw failure;
        this.#next(member.endpoint);
        if (signal.aborted || !(await this.#waited(backoffMs(BETWEEN_MEMBERS, attempt, random), signal)))
          throw new Failure("unavailable", failure.message, { cause: error, retryable: true });
      }
    }
  }

  /** False where the signal was first. */
  async #waited(ms: number, signal: AbortSignal): Promise<boolean> {
    await this.#options.clock.sleep(ms, signal).catch(() => undefined);
    return !signal.aborted;
  }
}

function memberAt(endpoint: string, tls: EtcdClientOptions["tls"]): Member {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol) || url.hostname === "") {
    throw new Failure("config-invalid", `log.etcd.endpoints: expected http(s)://host:port, got "${endpoint}"`);
  }
  if (url.protocol === "https:" && tls === undefined) {
    throw new Failure("config-invalid", `log.etcd.tls: ${endpoint} needs the authority that its certificate is from`);
  }
  const options = {
    address: {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? DEFAULT_PORT : Number(url.port),
    },
    ...(url.protocol === "https:" && tls !== undefined ? { tls } : {}),
    // A member without a leader answers from what it had; with this it fails instead (etcd's `WithRequireLeader`).
    metadata: { hasleader: "true" },
    messageBytesMax: ANSWER_BYTES_MAX,
    keepaliveMs: ETCD_KEEPALIVE_MS,
  };
  return {
    endpoint,
    kv: createGrpcClient(KV, options),
    watch: createGrpcClient(Watch, options),
    maintenance: createGrpcClient(Maintenance, options),
  };
}

function cancelled({ compactRevision, cancelReason }: WatchResponse): Failure {
  if (compactRevision > 0n) return new Failure("revision-compacted", "the watch's revision has been compacted");
  return new Failure("unavailable", `the watch was cancelled: ${cancelReason}`, {
    retryable: !cancelReason.includes("permission denied"),
  });
}

/** etcd's errors that mean something else than their gRPC status says (etcd api/v3rpc/rpctypes/error.go). */
function named(error: unknown, endpoint: string): Failure {
  if (!isFailure(error)) return new Failure("unavailable", `etcd at ${endpoint}: ${String(error)}`, { cause: error });
  const [code, remedy] = meaningOf(error.message);
  const message = `etcd at ${endpoint}: ${error.message}${remedy}`;
  return new Failure(code ?? error.code, message, { cause: error, retryable: code === undefined && error.retryable });
}

function meaningOf(message: string): readonly [Failure["code"] | undefined, string] {
  if (message.includes("required revision has been compacted")) return ["revision-compacted", ""];
  if (message.includes("database space exceeded"))
    return ["disk-full", ": compact and defragment it, raise its --quota-backend-bytes, then disarm the alarm"];
  if (message.includes("request is too large") || message.includes("larger than max"))
    return ["argument-invalid", ": write less at once, or raise its --max-request-bytes"];
  if (message.includes("permission denied") || message.includes("user name is empty"))
    return ["permission-denied", ": grant the certificate's name read and write on the log's prefix"];
  return [undefined, ""];
}

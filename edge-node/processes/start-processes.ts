/** Shares the port of an edge with front processes, which have copies of what it stores and bring it what they lack. */
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { Logger } from "#platform/logging.ts";
import type { Metrics } from "#platform/metrics/metrics.ts";
import type { EdgeEvents } from "../events.ts";
import type { Front, FrontEvents } from "../front/front.ts";
import type { TlsFront } from "../front/tls/tls-front.ts";
import type { SiteTallies } from "../usage/site-tallies.ts";
import type { CarriedSocket } from "./carried-socket.ts";
import { openCarriers } from "./carriers.ts";
import { createProcessEvents } from "./events.ts";
import { FrontProcesses } from "./front-processes.ts";
import { type Find, Lending, type LendingStore } from "./lending.ts";
import type { Secrets } from "./messages.ts";
import type { Opening } from "./opening.ts";

/** Certificates that are loaded one after the other are told together. */
const SECRETS_MS = 100;

export interface ProcessesOptions {
  /** With this one. */
  readonly count: number;
  /** Where this one listens, with its port free for others. */
  readonly http: Address;
  readonly tls?: Pick<TlsFront, "address" | "certificates" | "ticketKeys" | "events"> | undefined;
  readonly front: Front;
  readonly store: LendingStore;
  readonly find: Find;
  readonly accessLog: string;
  readonly graceMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly events: EdgeEvents & Pick<FrontEvents, "published">;
  readonly usage?: SiteTallies | undefined;
}

export interface Processes extends AsyncDisposable {
  reopenLog(): void;
  /** Settings of a site, or of all, have changed: resolves once no copy is answered with that was made by the old ones. */
  forget(site: string | undefined): Promise<void>;
}

/** Throws `unavailable` where a front process cannot listen. */
export async function startProcesses(options: ProcessesOptions): Promise<Processes> {
  const { count, http, tls, front, accessLog, graceMs, clock, logger, metrics, events } = options;
  await using stack = new AsyncDisposableStack();
  const sessions = tls && (await openSessions(tls, options));
  const accept = (socket: CarriedSocket, { scheme, protocol }: Opening) => {
    if (protocol === "h1") front.accept(socket, scheme, () => socket.answered());
    else sessions?.serve(socket);
  };
  const carriers = stack.use(await openCarriers(accept));
  const lending = new Lending(options);
  const fronts = stack.use(
    await FrontProcesses.start({
      count: count - 1,
      start: () => ({
        kind: "start",
        ...{ http, carriers: carriers.path, accessLog },
        ...(tls === undefined ? {} : { tls: { address: tls.address, secrets: secretsOf(tls) } }),
      }),
      lending,
      clock,
      events: createProcessEvents(logger, metrics),
      counted: { ...events, ...tls?.events },
      usage: options.usage,
      graceMs,
    }),
  );
  if (tls !== undefined) stack.use(tellSecrets(tls, clock, fronts));
  // Their clients hear of the end while there is a front process to tell them.
  if (sessions !== undefined) stack.use(sessions);
  const running = stack.move();
  return {
    reopenLog: () => fronts.tell({ kind: "reopen-log" }),
    forget: (site) => lending.forget(site),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

type Tls = NonNullable<ProcessesOptions["tls"]>;

function secretsOf({ certificates, ticketKeys }: Tls): Secrets {
  return { pairs: certificates.list(), ticketKeys: ticketKeys.current };
}

/** For connections of HTTP/2 that front processes have. Loaded where TLS is served. */
async function openSessions({ events }: Tls, { front, clock }: ProcessesOptions) {
  const { H2Sessions } = await import("../front/tls/h2-sessions.ts");
  return new H2Sessions({ clock, events, handle: front.answer.bind(front) });
}

/** After each change, soon. */
function tellSecrets(tls: Tls, clock: Clock, fronts: FrontProcesses): Disposable {
  let telling: Disposable | undefined;
  const tellSoon = (): void => {
    telling ??= clock.timer(SECRETS_MS, () => {
      telling = undefined;
      fronts.tell({ kind: "secrets", secrets: secretsOf(tls) });
    });
  };
  const changes = [tls.certificates.onChange(tellSoon), tls.ticketKeys.onChange(tellSoon)];
  return {
    [Symbol.dispose]() {
      telling?.[Symbol.dispose]();
      for (const change of changes) change[Symbol.dispose]();
    },
  };
}

/** The distances of the one-machine start: a link before everything that clients use. */
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { type Link, startTcpLink } from "#platform/links/tcp-link.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import type { Random } from "#platform/random.ts";
import type { LinkPlan } from "./topology.ts";

const HOST = "127.0.0.1";

export interface PoolDistance {
  readonly name: string;
  readonly rttMs: number;
  readonly isCut: boolean;
}

export interface Links extends AsyncDisposable {
  pools(): readonly PoolDistance[];
  /** Clients reach nothing of the pool any more. Throws `not-found` for a pool that has no links. */
  cut(pool: string): void;
  restore(pool: string): void;
}

export async function startLinks(
  plans: readonly LinkPlan[],
  sources: { readonly clock: Clock; readonly random: Random },
): Promise<Links> {
  await using starting = new AsyncDisposableStack();
  const links: { readonly pool: string; readonly link: Link }[] = [];
  for (const plan of plans) links.push({ pool: plan.pool, link: starting.use(await startLink(plan, sources)) });
  const distances = new Map(plans.map(({ pool, rttMs }) => [pool, rttMs]));
  const isCut = new Set<string>();
  const linksOf = (wanted: string): readonly Link[] => {
    const found = links.filter(({ pool }) => pool === wanted).map(({ link }) => link);
    if (found.length > 0) return found;
    throw new Failure("not-found", `there is no pool ${wanted}: there are ${[...distances.keys()].join(", ")}`);
  };
  const running = starting.move();
  return {
    pools: () => [...distances].map(([name, rttMs]) => ({ name, rttMs, isCut: isCut.has(name) })),
    cut(pool) {
      for (const link of linksOf(pool)) link.cut();
      isCut.add(pool);
    },
    restore(pool) {
      for (const link of linksOf(pool)) link.restore();
      isCut.delete(pool);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function startLink(
  { protocol, listenPort, targetPort, portCount, rttMs }: LinkPlan,
  sources: { readonly clock: Clock; readonly random: Random },
): Promise<Link> {
  const ends = { listen: { host: HOST, port: listenPort }, target: { host: HOST, port: targetPort } };
  return protocol === "tcp"
    ? startTcpLink({ ...sources, ...ends, rttMs })
    : startUdpLink({ ...sources, ...ends, rttMs, portCount });
}

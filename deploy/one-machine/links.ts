/** The distances of the one-machine start: a link before everything that clients use. */
import { Failure } from "#domain/failure.ts";
import type { Clock } from "#platform/clock.ts";
import { type Link, startTcpLink } from "#platform/links/tcp-link.ts";
import { startUdpLink } from "#platform/links/udp-link.ts";
import type { Random } from "#platform/random.ts";
import type { LinkPlan } from "./topology.ts";

const HOST = "127.0.0.1";

export interface Links extends AsyncDisposable {
  readonly pools: readonly string[];
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
  const pools = [...new Set(plans.map(({ pool }) => pool))];
  const linksOf = (wanted: string): readonly Link[] => {
    const found = links.filter(({ pool }) => pool === wanted).map(({ link }) => link);
    if (found.length > 0) return found;
    throw new Failure("not-found", `there is no pool ${wanted}: there are ${pools.join(", ")}`);
  };
  const running = starting.move();
  return {
    pools,
    cut: (pool) => {
      for (const link of linksOf(pool)) link.cut();
    },
    restore: (pool) => {
      for (const link of linksOf(pool)) link.restore();
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

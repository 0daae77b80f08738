/** The listener of user agents: sessions first, then by Host a published or a pulled site, else 421. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Failure } from "#domain/failure.ts";
import type { Address } from "#platform/address.ts";
import type { Clock } from "#platform/clock.ts";
import type { PortSharing } from "#platform/http/listening.ts";
import type { AccessLog } from "./access-log/access-log.ts";
import type { DesiredSite } from "./desired-state/desired-view.ts";
import type { CacheOutcome } from "./events.ts";
import type { HitFinder } from "./front/fast-lane.ts";
import { Front, type FrontEvents, startFrontListener } from "./front/front.ts";
import { sendProblem } from "./published/problems.ts";
import { answerCounted } from "./usage/counted-answer.ts";
import type { SiteTallies } from "./usage/site-tallies.ts";

/** Answers that are being sent when the edge is told to stop have this long. */
export const STOP_GRACE_MS = 2_000;

export interface ContentRoutes {
  /** What the fast lane may answer. */
  readonly hits: HitFinder;
  /** What of it is so for every request alike: other processes may answer with it. */
  readonly lend: HitFinder["find"];
  /** Takes what is under `/.perigee/` and, while cut off, steering; false: not its own. */
  readonly door: (incoming: IncomingMessage, response: ServerResponse) => boolean;
  readonly siteOf: (host: string | undefined) => DesiredSite | undefined;
  /** Why a site may not be served now. */
  readonly denial: (site: DesiredSite) => Failure | undefined;
  /** Rate and signatures, before anything is looked up; false: refused. */
  readonly admit: (site: DesiredSite, incoming: IncomingMessage, response: ServerResponse) => boolean;
  readonly servePublished: (
    site: DesiredSite,
    incoming: IncomingMessage,
    response: ServerResponse,
  ) => Promise<CacheOutcome | undefined>;
  readonly servePulled: (
    site: DesiredSite,
    incoming: IncomingMessage,
    response: ServerResponse,
  ) => Promise<CacheOutcome>;
  readonly events: FrontEvents & { published(status: number, count?: number): void; misdirected(): void };
}

export interface ContentListener extends AsyncDisposable {
  readonly address: Address;
  /** For connections that come by other listeners. */
  readonly front: Front;
}

export interface ContentListenerTools {
  readonly clock: Clock;
  readonly log: AccessLog | undefined;
  readonly usage: SiteTallies;
  readonly sharing?: PortSharing;
}

export async function startContentListener(
  address: Address,
  routes: ContentRoutes,
  { clock, log, usage, sharing }: ContentListenerTools,
): Promise<ContentListener> {
  await using stack = new AsyncDisposableStack();
  const { hits: finder, events } = routes;
  const handle = (incoming: IncomingMessage, response: ServerResponse) => answer(routes, usage, incoming, response);
  const front = new Front({ finder, clock, events, handle, log, usage });
  stack.defer(() => front.stop(STOP_GRACE_MS));
  const listener = stack.use(await startFrontListener(address, front, sharing));
  const running = stack.move();
  return { address: listener.address, front, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

async function answer(
  routes: ContentRoutes,
  tallies: SiteTallies,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<CacheOutcome | undefined> {
  if (routes.door(incoming, response)) return undefined;
  const site = routes.siteOf(incoming.headers.host);
  if (site === undefined) {
    routes.events.misdirected();
    const failure = new Failure("not-found", "no site of this node has the host name of the request");
    sendProblem(response, failure, { status: 421 });
    return "refused";
  }
  const counting = { tallies, site: site.name };
  return await answerCounted(counting, response, () => answerOfSite(routes, site, incoming, response));
}

async function answerOfSite(
  routes: ContentRoutes,
  site: DesiredSite,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<CacheOutcome | undefined> {
  const denial = routes.denial(site);
  if (denial !== undefined) {
    sendProblem(response, denial);
    return "refused";
  }
  if (!routes.admit(site, incoming, response)) return "refused";
  if (site.spec.pull !== undefined) return await routes.servePulled(site, incoming, response);
  const outcome = await routes.servePublished(site, incoming, response);
  routes.events.published(response.statusCode);
  return outcome;
}

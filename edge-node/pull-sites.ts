/** The flows of the sites that are pulled from an upstream: made, replaced and ended as the set says. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isDeepStrictEqual } from "node:util";
import type { SiteSpec } from "#domain/content/site.ts";
import type { DesiredSite } from "./desired-state/desired-view.ts";
import type { CacheOutcome } from "./events.ts";
import type { HitFinder } from "./front/fast-lane.ts";
import type { PeerAsker } from "./request/peer-asker.ts";

export interface PullFlow extends AsyncDisposable {
  /** For the fast lane. */
  readonly hits: HitFinder;
  /** `asker` for a request of another edge. */
  handle(incoming: IncomingMessage, response: ServerResponse, asker?: PeerAsker): Promise<CacheOutcome>;
  /** A purge of the site has come: nobody joins what was under way before it. */
  purged(): void;
}

interface Running {
  readonly spec: SiteSpec;
  readonly flow: PullFlow;
}

export class PullSites implements AsyncDisposable {
  readonly #open: (name: string, spec: SiteSpec) => PullFlow;
  readonly #running = new Map<string, Running>();

  constructor(open: (name: string, spec: SiteSpec) => PullFlow) {
    this.#open = open;
  }

  get(site: string): PullFlow | undefined {
    return this.#running.get(site)?.flow;
  }

  /** A site whose spec is the same keeps its flow and its connections. */
  update(sites: ReadonlyMap<string, DesiredSite>): void {
    for (const [name, { spec, flow }] of [...this.#running]) {
      if (isDeepStrictEqual(sites.get(name)?.spec, spec)) continue;
      this.#running.delete(name);
      void flow[Symbol.asyncDispose]();
    }
    for (const { name, spec } of sites.values()) {
      if (spec.pull === undefined || this.#running.has(name)) continue;
      this.#running.set(name, { spec, flow: this.#open(name, spec) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ flow }) => flow[Symbol.asyncDispose]()));
    this.#running.clear();
  }
}

/** Puts an edge-node together: it serves what it holds first, and connects to the origin after that. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AgentStatus } from "#domain/fleet/node.ts";
import { type Address, formatAddress, parseAddress } from "#platform/address.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import { serverNameOf } from "#platform/identity/peer.ts";
import type { EdgeConfig } from "./config.ts";
import { type ContentListener, startContentListener } from "./content-listener.ts";
import type { SignedBatch } from "./desired-state/pool-set.ts";
import { type EdgeParts, type EdgeTools, openEdgeParts } from "./edge-parts.ts";
import { contentRoutes } from "./published/content-routes.ts";
import { NodeState } from "./status/node-state.ts";

const ORIGIN_SERVER_NAME = serverNameOf({ role: "origin", name: "origin" });

/** The door to this pool's render-agents, once it is open. */
export interface SessionDoor extends AsyncDisposable {
  /** True: it took the request. */
  handle(incoming: IncomingMessage, response: ServerResponse): boolean;
  agentStatuses(): readonly AgentStatus[];
  passOn(envelope: SignedBatch): void;
}

export interface RunningEdge extends AsyncDisposable {
  readonly addresses: Readonly<Record<"content" | "admin", Address>>;
}

export async function startEdge(config: EdgeConfig, tools: EdgeTools): Promise<RunningEdge> {
  await using stack = new AsyncDisposableStack();
  const parts = await openEdgeParts(config, tools, stack);
  const state = stack.use(nodeStateOf(config, parts, () => []));
  const content: ContentListener = stack.use(
    await startContentListener(
      parseAddress(config.listen.content),
      contentRoutes(parts, () => false),
    ),
  );
  const admin = stack.use(
    await startAdminListener({
      address: parseAddress(config.listen.admin),
      metrics: parts.metrics,
      readiness: (question) => state.readiness(question),
    }),
  );
  await startLink(config, parts, { state, passOn: () => undefined }, stack);
  const addresses = { content: content.address, admin: admin.address };
  parts.events.listening(
    Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, formatAddress(address)])),
  );
  const running = stack.move();
  return { addresses, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function nodeStateOf(config: EdgeConfig, parts: EdgeParts, agents: () => readonly AgentStatus[]): NodeState {
  const { clock, set, identity, folder, store, keeper } = parts;
  return new NodeState({
    incarnation: parts.incarnation,
    softwareVersion: parts.softwareVersion,
    contentUrl: config.contentUrl,
    hostname: config.hostname,
    dataDir: config.dataDir,
    clock,
    set: () => ({
      watermark: set.watermark,
      isWhole: set.damage === undefined,
      isEmpty: set.resources.size === 0 && set.watermark === undefined,
    }),
    autonomySeconds: () => parts.view().autonomySeconds,
    certificateExpiresAtMs: () => identity.expiresAtMs,
    storeBytes: () => ({ used: folder.bytesUsed + store.usage().bytes, max: config.store.diskBytesMax }),
    sites: () => keeper.statuses(),
    incompleteSites: () => keeper.incomplete(),
    agents,
  });
}

interface LinkUsers {
  readonly state: NodeState;
  readonly passOn: (envelope: SignedBatch) => void;
}

/** Loaded now: what speaks gRPC is a third of the start, and nothing that is served waits for it. */
async function startLink(
  config: EdgeConfig,
  parts: EdgeParts,
  { state, passOn }: LinkUsers,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { OriginLink } = await import("./link/origin-link.ts");
  const { identity, keeper, link, events } = parts;
  const origin = stack.use(
    new OriginLink({
      ...parts,
      address: parseAddress(config.origin.nodeRpc),
      tls: () => identity.clientTls(ORIGIN_SERVER_NAME),
      status: () => state.status(),
      onBatch(envelope) {
        parts.applySet();
        passOn(envelope);
      },
      onUp() {
        parts.report("link-up", { cutOffMs: link.cutOffMs });
        link.set(true);
        events.linkUp();
        keeper.retryNow();
      },
      onDown(reason) {
        link.set(false);
        parts.report("link-down", { code: reason.code, message: reason.message });
        events.linkDown(reason);
      },
    }),
  );
  stack.use(identity.onRenewed(() => keeper.reconsider()));
  parts.onChange(() => origin.sendNow());
}

/** Puts a scheduler together: it decides by what it holds first, then opens to clients, then connects to the origin. */
import { type Address, formatAddress, parseAddress } from "#platform/address.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import { createClientApi } from "./client-api/client-api.ts";
import type { SchedulerConfig } from "./config.ts";
import { connectFacts } from "./connected-facts.ts";
import { openSchedulerParts, type SchedulerParts, type SchedulerTools } from "./scheduler-parts.ts";

export interface RunningScheduler extends AsyncDisposable {
  readonly addresses: Readonly<Record<"client" | "admin", Address>>;
}

export async function startScheduler(config: SchedulerConfig, tools: SchedulerTools): Promise<RunningScheduler> {
  await using stack = new AsyncDisposableStack();
  const parts = await openSchedulerParts(config, tools, stack);
  const client = await startClientApi(config, parts, stack);
  const facts = connectFacts(config, parts, stack);
  const admin = stack.use(
    await startAdminListener({
      address: parseAddress(config.listen.admin),
      metrics: parts.metrics,
      readiness: () => facts.readiness(),
    }),
  );
  const addresses = { client, admin: admin.address };
  parts.events.listening(
    Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, formatAddress(address)])),
  );
  const running = stack.move();
  return { addresses, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

async function startClientApi(
  config: SchedulerConfig,
  parts: SchedulerParts,
  stack: AsyncDisposableStack,
): Promise<Address> {
  const { identity, fleet, clock, sessions, steering, explain, logger, events } = parts;
  const view = () => fleet.view;
  const api = await createClientApi({
    access: { tokenKeys: () => identity.trust.tokenKeys, revoked: view, clock },
    ...{ sessions, steering, explain, view, logger },
    clientUrl: config.clientUrl,
    trustedProxies: config.trustedProxies,
    events: events.api,
  });
  stack.defer(() => api.close());
  const address = parseAddress(config.listen.client);
  await api.listen(address);
  const bound = api.server.address();
  return { host: address.host, port: typeof bound === "object" && bound !== null ? bound.port : address.port };
}

/** Puts a scheduler together: it decides by what it holds first, then opens to clients, then connects to the origin. */

import { Failure } from "#domain/failure.ts";
import { type Address, formatAddress, parseAddress } from "#platform/address.ts";
import { type RunningDnsServer, startDnsServer } from "#platform/dns/dns-server.ts";
import { createDnsEvents } from "#platform/dns/events.ts";
import { type Zone, zonesOf } from "#platform/dns/zone-names.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import { createClientApi } from "./client-api/client-api.ts";
import type { SchedulerConfig } from "./config.ts";
import { connectFacts } from "./connected-facts.ts";
import { createDnsSteering } from "./dns/dns-steering.ts";
import { openSchedulerParts, type SchedulerParts, type SchedulerTools } from "./scheduler-parts.ts";

export interface RunningScheduler extends AsyncDisposable {
  readonly addresses: Readonly<Record<"client" | "admin", Address>> & { readonly dns?: Address };
}

export async function startScheduler(config: SchedulerConfig, tools: SchedulerTools): Promise<RunningScheduler> {
  await using stack = new AsyncDisposableStack();
  const zones = zonesToServe(config);
  const parts = await openSchedulerParts(config, tools, stack);
  const client = await startClientApi(config, parts, stack);
  const dns = await startDns(config, zones, parts, stack);
  const facts = connectFacts(config, parts, stack);
  const admin = stack.use(
    await startAdminListener({
      address: parseAddress(config.listen.admin),
      metrics: parts.metrics,
      readiness: () => facts.readiness(),
    }),
  );
  const addresses = { client, admin: admin.address, ...(dns && { dns: dns.address }) };
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

/** Throws `config-invalid`. */
function zonesToServe({ listen, dns }: SchedulerConfig): readonly Zone[] {
  const zones = dns === undefined ? [] : zonesOf(dns);
  if ((listen.dns === undefined) === (dns === undefined)) return zones;
  throw new Failure(
    "config-invalid",
    "listen.dns and dns must be given both or neither: an address, and what is served there",
  );
}

async function startDns(
  { listen, dns }: SchedulerConfig,
  zones: readonly Zone[],
  parts: SchedulerParts,
  stack: AsyncDisposableStack,
): Promise<RunningDnsServer | undefined> {
  if (listen.dns === undefined || dns === undefined) return undefined;
  const { clock, fleet, steering, events, logger, metrics, set, groupPrefixLength } = parts;
  const names = createDnsSteering({
    ...{ clock, fleet, steering, groupPrefixLength, bounds: dns, events: events.steering },
    revision: () => set.watermark?.revision ?? 0,
  });
  const address = parseAddress(listen.dns);
  return stack.use(await startDnsServer({ address, zones, names, clock, events: createDnsEvents(logger, metrics) }));
}

/** Starts a render-agent: what it holds, what it does, the listener for those who run it; and stops it in order. */
import { type Address, formatAddress, parseAddress } from "#platform/address.ts";
import { startAdminListener } from "#platform/http/admin-listener.ts";
import { type AgentTools, openAgentParts } from "./agent-parts.ts";
import { type AgentConfig, checkAgentConfig } from "./config.ts";
import { RenderAgent } from "./render-agent.ts";

export interface RunningAgent extends AsyncDisposable {
  readonly addresses: Readonly<Record<"websocket" | "admin", Address>>;
}

/** Throws `config-invalid`, what joining throws, and `unavailable` for an address that cannot be had. */
export async function startAgent(config: AgentConfig, tools: AgentTools): Promise<RunningAgent> {
  checkAgentConfig(config);
  await using stack = new AsyncDisposableStack();
  const parts = await openAgentParts(config, tools, stack);
  const agent = stack.use(new RenderAgent(parts));
  const admin = stack.use(
    await startAdminListener({
      address: parseAddress(config.listen.admin),
      metrics: parts.metrics,
      readiness: () => agent.readiness(),
    }),
  );
  const addresses = { websocket: parts.door.address, admin: admin.address };
  parts.events.listening(
    Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, formatAddress(address)])),
  );
  const running = stack.move();
  return { addresses, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

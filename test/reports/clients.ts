/** Many clients of VR sessions, each of which shows its ticket to the edge and reports its quality once. */
import { readFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { TOKEN_TYPES } from "#contracts/tokens/claims.ts";
import { systemClock } from "#platform/clock.ts";
import { parsePemChain } from "#platform/identity/certificates.ts";
import { thumbprintOf } from "#platform/identity/dpop.ts";
import { importPrivateKey } from "#platform/identity/signatures.ts";
import { signToken, type TokenSigner } from "#platform/identity/tokens.ts";
import type { Edge } from "#test/end-to-end/fleet.ts";
import { type Answer, ask } from "#test/end-to-end/http-client.ts";
import { type ClientKey, createClientKey } from "../../client/session/key.ts";

/** Calls under way at once. */
export const AT_ONCE = 64;
const TICKET_SECONDS = 120;

export class Clients {
  readonly #edge: Edge;
  readonly #pool: string;
  readonly #signer: TokenSigner;
  readonly #key: ClientKey;
  readonly #thumbprint: string;
  readonly acknowledged: string[] = [];
  readonly unanswered = new Set<string>();
  /** Answers other than 202, by status. */
  readonly refused = new Map<number, number>();
  #sessions = 0;

  private constructor(edge: Edge, pool: string, signer: TokenSigner, key: ClientKey, thumbprint: string) {
    this.#edge = edge;
    this.#pool = pool;
    this.#signer = signer;
    this.#key = key;
    this.#thumbprint = thumbprint;
  }

  /** Their tickets are those that the edge gave before: signed with its key. */
  static async of(edge: Edge, pool: string, dataDir: string): Promise<Clients> {
    const { keyPem, chainPem }: { keyPem: string; chainPem: string } = JSON.parse(
      readFileSync(join(dataDir, "identity", "identity.json"), "utf8"),
    );
    const key = await createClientKey(systemClock);
    const signer = { key: importPrivateKey(keyPem), chain: parsePemChain(chainPem) };
    return new Clients(edge, pool, signer, key, await thumbprintOf({ ...key.publicKey }));
  }

  /** New sessions report, each once, until `isOver`; ends when every call has its answer or was cut short. */
  async report(isOver: () => boolean): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const turns = Array.from({ length: AT_ONCE }, async () => {
      while (!isOver()) await this.#reportOnce(agent);
    });
    await Promise.all(turns);
    agent.destroy();
  }

  async #reportOnce(agent: Agent): Promise<void> {
    this.#sessions += 1;
    const session = `s-${String(this.#sessions).padStart(8, "0")}`;
    const exp = Math.floor(systemClock.nowMs() / 1000) + TICKET_SECONDS;
    const claims = {
      ...{ session, attempt: 1, app: "hall", tier: "strict", pool: this.#pool, renderClass: "small", exp },
      cnf: { jkt: this.#thumbprint },
    };
    const resume = await signToken(TOKEN_TYPES.resume, claims, this.#signer);
    const shown = await this.#call(agent, `${session}/ticket`, { resume }).catch(() => undefined);
    if (shown?.status !== 200) return this.#note(shown);
    const quality = {
      ...{ remotePathMsP50: 14, remotePathMsP95: 22.5, networkMsP95: 5, renderEncodeMsP95: 9, decodeMsP95: 3 },
      ...{ jitterMsP95: 1, framesDecoded: 720, framesLost: 2 },
    };
    this.unanswered.add(session);
    const answer = await this.#call(agent, `${session}/reports`, quality).catch(() => undefined);
    if (answer === undefined) return;
    this.unanswered.delete(session);
    if (answer.status === 202) this.acknowledged.push(session);
    else this.#note(answer);
  }

  async #call(agent: Agent, path: string, body: object): Promise<Answer> {
    const { content, hostname } = this.#edge;
    const host = `${hostname}:${content.port}`;
    const target = `/.perigee/v1/sessions/${path}`;
    const proof = await this.#key.prove("POST", `http://${host}${target}`);
    const headers = { host, "content-type": "application/json" };
    return ask(content, target, { method: "POST", headers, body: JSON.stringify({ ...body, proof }), agent });
  }

  #note(answer: Answer | undefined): void {
    if (answer !== undefined) this.refused.set(answer.status, (this.refused.get(answer.status) ?? 0) + 1);
  }
}

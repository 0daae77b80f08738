/** Orders the certificates of sites by ACME, has edges answer for them, and hands them out with their keys sealed. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type SiteCertificateSpec, sealingContext } from "#domain/content/site-certificate.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { Kind } from "#domain/resource.ts";
import { AcmeKeeper } from "#platform/acme/acme-keeper.ts";
import { CertificateFolder } from "#platform/acme/certificate-folder.ts";
import { type AcmeAuthority, type HttpChallenge, orderCertificate } from "#platform/acme/order-certificate.ts";
import type { Clock } from "#platform/clock.ts";
import { seal } from "#platform/identity/sealing.ts";
import { isForName, readCertificate, type SiteCertificate } from "#platform/identity/site-certificate.ts";
import type { ResourceLog } from "../log/resource-log.ts";
import { findResource, listResources, writeResource } from "../log/resources.ts";
import type { ObservedNodes } from "../observed/observed-nodes.ts";
import type { CertificateEvents } from "./events.ts";
import { type PoolEdge, planSealing } from "./sealed-keys.ts";

/** How soon a changed site or a new edge is noticed. */
const LOOK_MS = 1_000;
/** Edges that are linked have a challenge within a second; one that has not by then may fail the order. */
const CHALLENGE_MS_MAX = 10_000;
const CHALLENGE_LOOK_MS = 100;
/** In a resource's name: enough that no two are the same. */
const NAME_DIGITS = 24;

export interface SiteCertificatesOptions extends Omit<AcmeAuthority, "accountKeyPem"> {
  readonly dataDir: string;
  readonly log: ResourceLog;
  readonly observed: ObservedNodes;
  readonly events: CertificateEvents;
  readonly clock: Clock;
}

export class SiteCertificates implements AsyncDisposable {
  readonly #options: SiteCertificatesOptions;
  readonly #folder: CertificateFolder;
  /** By host name: what is durable here, verified. */
  readonly #issued = new Map<string, SiteCertificate>();
  readonly #keeper: AcmeKeeper;
  readonly #looking: Disposable;
  #lookedAt = "";

  static async open(options: SiteCertificatesOptions): Promise<SiteCertificates> {
    const folder = await CertificateFolder.open(join(options.dataDir, "certificates"));
    const accountKeyPem = await folder.accountKeyPem();
    const stored = await folder.load();
    // Of orders that the last process did not finish.
    for (const { metadata } of listResources(options.log, "AcmeChallenge"))
      await remove(options.log, "AcmeChallenge", metadata.name);
    return new SiteCertificates({ ...options, accountKeyPem }, folder, stored);
  }

  private constructor(
    options: SiteCertificatesOptions & AcmeAuthority,
    folder: CertificateFolder,
    stored: Awaited<ReturnType<CertificateFolder["load"]>>,
  ) {
    this.#options = options;
    this.#folder = folder;
    const { clock, events } = options;
    for (const [hostname, pair] of stored) this.#take(hostname, pair);
    this.#keeper = new AcmeKeeper({
      names: () => this.#hostnames(),
      find: (hostname) => this.#issued.get(hostname),
      order: (hostname, signal) => this.#order(options, hostname, signal),
      events,
      clock,
    });
    this.#looking = clock.every(LOOK_MS, () => this.#look());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#looking[Symbol.dispose]();
    await this.#keeper[Symbol.asyncDispose]();
  }

  /** Only where something has changed: a look at every site and node costs time. */
  async #look(): Promise<void> {
    const { log, observed } = this.#options;
    const keys = observed.list().map(({ node, status }) => `${node} ${status?.sealingKey}`);
    const now = `${log.revision()} ${this.#issued.size} ${keys.join()}`;
    if (now === this.#lookedAt) return;
    try {
      await this.#handOut();
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#options.events.handOutFailed(error);
      return;
    }
    this.#lookedAt = `${log.revision()} ${this.#issued.size} ${keys.join()}`;
    void this.#keeper.lookNow();
  }

  #hostnames(): readonly string[] {
    const sites = listResources(this.#options.log, "Site").filter(({ spec }) => spec.acme === true);
    return [...new Set(sites.flatMap(({ spec }) => spec.hostnames.map((name) => name.toLowerCase())))];
  }

  async #order(authority: AcmeAuthority, hostname: string, signal: AbortSignal): Promise<void> {
    const challenges = {
      publish: (challenge: HttpChallenge) => this.#publish(challenge, signal),
      withdraw: ({ token }: HttpChallenge) => remove(this.#options.log, "AcmeChallenge", resourceName(token)),
    };
    const pair = await orderCertificate(authority, hostname, { challenges, signal });
    const certificate = readCertificate(hostname, pair, this.#options.clock.nowMs());
    if (!isForName(certificate, hostname))
      throw new Failure("certificate-invalid", `${hostname}: what was issued is for ${certificate.names.join(", ")}`);
    await this.#folder.save(hostname, pair);
    this.#issued.set(hostname, certificate);
    await this.#handOut();
  }

  /** Resolves when every edge that is linked has it, or after a while: the authority may ask any of them. */
  async #publish({ name: hostname, token, keyAuthorization }: HttpChallenge, signal: AbortSignal): Promise<void> {
    const { log, observed, clock } = this.#options;
    const metadata = { name: resourceName(token), labels: {} };
    const spec = { hostname, token, keyAuthorization };
    const { revision } = await writeResource(log, { kind: "AcmeChallenge", metadata, spec }, clock.nowMs());
    const untilMs = clock.monotonicMs() + CHALLENGE_MS_MAX;
    const isEverywhere = () =>
      observed
        .list()
        .every(({ linkUp, status }) => !linkUp || status === undefined || status.appliedRevision >= revision);
    while (!isEverywhere() && clock.monotonicMs() < untilMs) await clock.sleep(CHALLENGE_LOOK_MS, signal);
  }

  #take(hostname: string, pair: Parameters<typeof readCertificate>[1]): void {
    try {
      this.#issued.set(hostname, readCertificate(hostname, pair, this.#options.clock.nowMs()));
    } catch (error) {
      if (!isFailure(error)) throw error;
      this.#options.events.storedRefused(hostname, error);
    }
  }

  /** Brings what pools have in line with sites, certificates, edges and their keys. */
  async #handOut(): Promise<void> {
    const { log, clock } = this.#options;
    const hostnames = this.#hostnames();
    const wanted = new Set<string>();
    for (const [pool, edges] of this.#edgesByPool()) {
      for (const hostname of hostnames) {
        const certificate = this.#issued.get(hostname);
        if (certificate === undefined) continue;
        const name = resourceName(`${pool} ${hostname}`);
        wanted.add(name);
        const before = findResource(log, "SiteCertificate", name)?.spec;
        const spec = sealedSpec({ pool, hostname }, certificate, { before, edges });
        if (spec !== undefined)
          await writeResource(log, { kind: "SiteCertificate", metadata: { name, labels: {} }, spec }, clock.nowMs());
      }
    }
    for (const { metadata } of listResources(log, "SiteCertificate"))
      if (!wanted.has(metadata.name) && this.#isDropped(metadata.name, hostnames))
        await remove(log, "SiteCertificate", metadata.name);
  }

  /** One whose certificate is not here, as after a restore, stays until there is another for its name. */
  #isDropped(name: string, hostnames: readonly string[]): boolean {
    const spec = findResource(this.#options.log, "SiteCertificate", name)?.spec;
    return spec !== undefined && (!hostnames.includes(spec.hostname) || this.#issued.has(spec.hostname));
  }

  #edgesByPool(): ReadonlyMap<string, readonly PoolEdge[]> {
    const { log, observed } = this.#options;
    const revoked = new Set(
      listResources(log, "Revocation").flatMap(({ spec: { subject } }) =>
        subject.kind === "node" ? [subject.name] : [],
      ),
    );
    const edges = listResources(log, "Node").filter(
      ({ spec, metadata }) => spec.role === "edge" && !revoked.has(metadata.name),
    );
    return Map.groupBy(
      edges.map(({ metadata: { name: node }, spec: { pool } }) => ({
        pool,
        node,
        sealingKey: observed.find(node)?.status?.sealingKey,
      })),
      ({ pool }) => pool,
    );
  }
}

interface Handing {
  readonly before: SiteCertificateSpec | undefined;
  readonly edges: readonly PoolEdge[];
}

/** `undefined` where the pool has it as it should be. */
function sealedSpec(
  place: Pick<SiteCertificateSpec, "pool" | "hostname">,
  { certificatePem, keyPem }: Pick<SiteCertificate, "certificatePem" | "keyPem">,
  { before, edges }: Handing,
): SiteCertificateSpec | undefined {
  const { kept, missing } = planSealing(before, certificatePem, edges);
  if (missing.length === 0 && kept.length === (before?.keys.length ?? 0)) return undefined;
  const context = sealingContext({ hostname: place.hostname, certificatePem });
  const sealed = missing.map(({ node, sealedTo }) => {
    const bytes = seal(Buffer.from(sealedTo, "base64"), context, Buffer.from(keyPem));
    return { node, sealedTo, sealed: Buffer.from(bytes).toString("base64") };
  });
  return { ...place, certificatePem, keys: [...kept, ...sealed] };
}

async function remove(log: ResourceLog, kind: Kind, name: string): Promise<void> {
  if (log.find(kind, name) !== undefined) await log.write([{ kind, name, render: () => undefined }]);
}

/** Tokens and host names have characters that names of resources have not. */
function resourceName(text: string): string {
  return `c-${createHash("sha256").update(text).digest("hex").slice(0, NAME_DIGITS)}`;
}

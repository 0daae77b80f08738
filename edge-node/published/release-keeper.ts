/** Brings each published site to its newest release: manifest, objects, activation; what is refused changes nothing. */
import { MANIFEST_BYTES_MAX, openManifest } from "#contracts/codec/manifest.ts";
import { assert } from "#domain/assert.ts";
import { FillWindow } from "#domain/content/fill-window.ts";
import type { BlobReference, Digest, Manifest, ReleaseSpec } from "#domain/content/release.ts";
import { blobsOf, releaseBytesOf, releaseName } from "#domain/content/release.ts";
import { Failure, isFailure } from "#domain/failure.ts";
import type { SiteStatus } from "#domain/fleet/node.ts";
import { areOpen } from "#domain/policy/prefetch-window.ts";
import type { Clock } from "#platform/clock.ts";
import { backoffMs } from "#platform/concurrency/retry.ts";
import { checkSignature, type TrustedKeys } from "#platform/identity/signatures.ts";
import type { Random } from "#platform/random.ts";
import type { DesiredSite } from "../desired-state/desired-view.ts";
import type { BlobFetcher } from "../prefetch/blob-fetcher.ts";
import type { BlobNeed } from "../prefetch/blob-pull.ts";
import type { ActiveRelease, ActiveReleases } from "./active-releases.ts";
import type { BlobFolder } from "./blob-folder.ts";
import { decideReleaseStep } from "./release-step.ts";

/** How late an activation time or a retry may be seen. */
const TICK_MS = 500;
/** Sessions that begin one after the other ask for the same file: a source that refuses is not asked for each. */
const FILE_RETRY_MS = 1_000;
/** What was not begun for the pool's link or a window is looked at again; a minute of the budget may be under way. */
const FILL_TURN_MS = 5_000;
const RETRY = { attemptsMax: 1, baseMs: 500, capMs: 30_000 };
/** What no retry mends: asked for again only when another release or key comes. */
const FINAL = new Set(["signature-invalid", "manifest-invalid", "generation-regressed"]);

export interface ReleaseKeeperOptions {
  readonly active: ActiveReleases;
  readonly folder: BlobFolder;
  readonly fetcher: BlobFetcher;
  readonly publishKeys: () => TrustedKeys;
  readonly clock: Clock;
  /** By the origin's clock, which activation times are told in. */
  readonly nowMs: () => number;
  readonly random: Random;
  /** What is fetched ahead of requests begins no faster; undefined where the pool says nothing. */
  readonly fillBytesPerSecond: () => number | undefined;
  readonly events: {
    activated(site: string, generation: number): void;
    releaseRefused(release: string, failure: Failure): void;
    releaseDelayed(release: string, failure: Failure): void;
    blobsCollected(bytes: number): void;
    storageFailed(error: unknown): void;
  };
  /** Called when what `statuses` gives has changed. */
  readonly onChange: () => void;
}

interface Pending {
  site: DesiredSite;
  manifest: { readonly bytes: Uint8Array; readonly parsed: Manifest } | undefined;
  /** Why the newest release is not taken, for good. */
  refusal: Failure | undefined;
  attempts: number;
  retryAtMs: number;
  /** A single file may be asked for again, after one could not be had. */
  fileAtMs: number;
  isBusy: boolean;
  /** Some of it was not begun: its windows have closed, or the pool's link has no room. */
  isHeldBack: boolean;
}

/** Key of the only link that is counted. */
const OWN_POOL = "own";

export class ReleaseKeeper implements Disposable {
  readonly #options: ReleaseKeeperOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #ticking: Disposable;
  readonly #fills = new FillWindow();
  /** By digest, in bytes, of all that this node is to have; `undefined` until somebody asks for one. */
  #wanted: ReadonlyMap<Digest, number> | undefined;
  #needsCollection = true;

  constructor(options: ReleaseKeeperOptions) {
    this.#options = options;
    this.#ticking = options.clock.every(TICK_MS, () => this.#tick());
  }

  get(site: string): ActiveRelease | undefined {
    return this.#options.active.get(site);
  }

  /** Whether it can be answered for without the origin: held ahead of requests, or all of it here all the same. */
  isHeld(site: string): boolean {
    const active = this.get(site);
    if (active === undefined) return false;
    const desired = this.#pending.get(site)?.site;
    if (desired === undefined || (desired.isAssigned && desired.fillWindows.length === 0)) return true;
    const { folder } = this.#options;
    return Object.values(active.manifest.files).every((file) =>
      blobsOf(file).every(({ digest }) => folder.has(digest)),
    );
  }

  /** `isWhole` false leaves what is active: a damaged set says nothing of what is gone. */
  update(sites: ReadonlyMap<string, DesiredSite>, isWhole: boolean): void {
    for (const site of sites.values()) if (site.spec.publish !== undefined) this.#desire(site);
    if (isWhole) this.#forgetOthers(sites);
    this.#wanted = undefined;
    this.#needsCollection ||= isWhole;
    this.#tick();
    this.#options.onChange();
  }

  /** Of a blob that a release served here or to come names, its manifest included; `undefined` of any other. */
  sizeWanted(digest: Digest): number | undefined {
    this.#wanted ??= new Map(this.#wantedBlobs().map((blob) => [blob.digest, blob.sizeBytes]));
    return this.#wanted.get(digest);
  }

  /** Tries at once what waits for its next attempt: the origin is back. */
  retryNow(): void {
    for (const pending of this.#pending.values()) {
      pending.retryAtMs = 0;
      pending.attempts = 0;
    }
    this.#tick();
  }

  /** A session waits for this file: it is fetched at once, of what is served and of what is to come, whether or not the site is assigned. */
  prefetchFile({ site, path }: { readonly site: string; readonly path: string }): void {
    const pending = this.#pending.get(site);
    const { clock, fetcher, folder, events } = this.#options;
    if (pending === undefined || clock.monotonicMs() < pending.fileAtMs) return;
    const manifests = [this.get(site)?.manifest, pending.manifest?.parsed];
    const files = manifests.flatMap((manifest) => {
      const file = manifest !== undefined && Object.hasOwn(manifest.files, path) ? manifest.files[path] : undefined;
      return file ?? [];
    });
    const missing = files.flatMap(blobsOf).filter(({ digest }) => !folder.has(digest));
    if (missing.length === 0) return;
    const needs = missing.map(({ digest, sizeBytes }) => ({ digest, sizeBytes, site }));
    fetcher.ensureAll(needs).then(this.#options.onChange, (error: unknown) => {
      if (!isFailure(error)) throw error;
      pending.fileAtMs = clock.monotonicMs() + FILE_RETRY_MS;
      events.releaseDelayed(releaseName(site, pending.site.release?.generation ?? 0), error);
    });
  }

  /** What was refused for its key is tried again: other keys are trusted now. */
  reconsider(): void {
    for (const pending of this.#pending.values()) pending.refusal = undefined;
    this.retryNow();
  }

  statuses(): readonly SiteStatus[] {
    return [...this.#pending.values()].map((pending) => {
      const manifest = this.#manifestOf(pending);
      return {
        site: pending.site.name,
        activeGeneration: this.get(pending.site.name)?.generation ?? 0,
        desiredGeneration: pending.site.release?.generation ?? 0,
        objectsMissing: this.#missing(pending).length,
        ...(manifest === undefined ? {} : { releaseBytes: releaseBytesOf(manifest) }),
      };
    });
  }

  /** Assigned sites whose newest release is not complete, and those it was refused for. */
  incomplete(): readonly string[] {
    return [...this.#pending.values()].flatMap((pending) => {
      const { site } = pending;
      if (!site.isAssigned || site.release === undefined) return [];
      const isManifestHere = this.#manifestOf(pending) !== undefined;
      return isManifestHere && this.#missing(pending).length === 0 ? [] : [site.name];
    });
  }

  /** What an incomplete site waits for by its policies; one of them for all. */
  get waitingFor(): string | undefined {
    const incomplete = this.incomplete().flatMap((site) => this.#pending.get(site) ?? []);
    const closed = incomplete.find((pending) => !this.#isOpen(pending));
    if (closed !== undefined) return `a prefetch window of ${closed.site.name}`;
    return incomplete.some(({ isHeldBack }) => isHeldBack) ? "the pool's fillBytesPerSecond" : undefined;
  }

  [Symbol.dispose](): void {
    this.#ticking[Symbol.dispose]();
  }

  #desire(site: DesiredSite): void {
    const known = this.#pending.get(site.name);
    const isSame = known?.site.release?.manifest.digest === site.release?.manifest.digest;
    if (known !== undefined && isSame) {
      known.site = site;
      return;
    }
    const fresh = { manifest: undefined, refusal: undefined, attempts: 0, retryAtMs: 0, fileAtMs: 0 };
    this.#pending.set(site.name, { site, ...fresh, isBusy: false, isHeldBack: false });
  }

  #forgetOthers(sites: ReadonlyMap<string, DesiredSite>): void {
    const { active } = this.#options;
    for (const name of [...this.#pending.keys()]) {
      if (sites.get(name)?.spec.publish === undefined) this.#pending.delete(name);
    }
    for (const name of active.sites()) {
      const site = sites.get(name);
      // Without a release the site was deleted and made again: what is served is of the one before.
      if (site?.spec.publish === undefined || site.release === undefined) active.forget(name);
    }
  }

  #tick(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const pending of this.#pending.values()) {
      if (pending.isBusy || pending.refusal !== undefined || nowMs < pending.retryAtMs) continue;
      const { kind } = this.#stepOf(pending);
      if (kind === "none" || kind === "wait") continue;
      pending.isBusy = true;
      this.#bring(pending).then(
        () => this.#rest(pending),
        (error: unknown) => {
          this.#fail(pending, error);
          this.#rest(pending);
        },
      );
    }
    if (this.#needsCollection) this.#collect();
  }

  #rest(pending: Pending): void {
    pending.isBusy = false;
    this.#options.onChange();
  }

  #stepOf(pending: Pending) {
    const { active, nowMs } = this.#options;
    const { name, release } = pending.site;
    return decideReleaseStep({
      release,
      isFilled: pending.site.isAssigned && this.#isOpen(pending),
      active: active.get(name)?.generation ?? 0,
      floor: active.floorOf(name),
      quarantined: active.quarantinedOf(name),
      manifest: pending.manifest?.parsed,
      missing: this.#missing(pending).length,
      nowMs: nowMs(),
    });
  }

  #isOpen({ site }: Pending): boolean {
    return areOpen(site.fillWindows, this.#options.nowMs());
  }

  /** One object of a fill; it counts if so. */
  #mayBegin(pending: Pending, { sizeBytes }: BlobNeed): boolean {
    const mayBegin = this.#isOpen(pending) && this.#hasRoomFor(sizeBytes);
    pending.isHeldBack ||= !mayBegin;
    return mayBegin;
  }

  #hasRoomFor(sizeBytes: number): boolean {
    const bytesPerSecond = this.#options.fillBytesPerSecond();
    if (bytesPerSecond === undefined) return true;
    return this.#fills.admit({ pool: OWN_POOL, sizeBytes, bytesPerSecond }, this.#options.clock.monotonicMs());
  }

  async #prefetch(pending: Pending): Promise<void> {
    pending.isHeldBack = false;
    await this.#options.fetcher.ensureAll(this.#missing(pending), (need) => this.#mayBegin(pending, need));
    if (pending.isHeldBack) pending.retryAtMs = this.#options.clock.monotonicMs() + FILL_TURN_MS;
  }

  async #bring(pending: Pending): Promise<void> {
    for (;;) {
      const { release } = pending.site;
      if (release === undefined || this.#pending.get(pending.site.name) !== pending) return;
      const step = this.#stepOf(pending);
      switch (step.kind) {
        case "none":
        case "wait":
          return;
        case "refuse-older":
          throw new Failure(
            "generation-regressed",
            `release ${releaseName(release.site, release.generation)} is older than what was served`,
          );
        case "fetch-manifest":
          pending.manifest = await this.#fetchManifest(release);
          this.#wanted = undefined;
          break;
        case "prefetch":
          await this.#prefetch(pending);
          if (pending.isHeldBack) return;
          break;
        case "activate":
          this.#activate(pending, release);
          break;
      }
      this.#options.onChange();
    }
  }

  async #fetchManifest(release: ReleaseSpec) {
    const { fetcher, folder, publishKeys } = this.#options;
    const { digest, sizeBytes } = release.manifest;
    if (sizeBytes > MANIFEST_BYTES_MAX) {
      throw new Failure("manifest-invalid", `a manifest has at most ${MANIFEST_BYTES_MAX} bytes, got ${sizeBytes}`);
    }
    await fetcher.ensure({ digest, sizeBytes, site: release.site });
    const bytes = await folder.read(digest);
    if (bytes === undefined)
      throw new Failure("digest-mismatch", `manifest ${digest} was damaged on disk`, { retryable: true });
    const parsed = openManifest(bytes, release, (signed) => checkSignature(signed, publishKeys()));
    return { bytes, parsed };
  }

  #activate(pending: Pending, release: ReleaseSpec): void {
    assert(pending.manifest !== undefined, "a release is activated with its manifest");
    this.#options.active.activate(release, pending.manifest.bytes, pending.manifest.parsed);
    pending.manifest = undefined;
    pending.attempts = 0;
    this.#wanted = undefined;
    this.#needsCollection = true;
    this.#options.events.activated(release.site, release.generation);
  }

  #fail(pending: Pending, error: unknown): void {
    if (!isFailure(error)) throw error;
    const { clock, random, events } = this.#options;
    const name = releaseName(pending.site.name, pending.site.release?.generation ?? 0);
    if (FINAL.has(error.code)) {
      pending.refusal = error;
      events.releaseRefused(name, error);
      return;
    }
    pending.attempts += 1;
    pending.retryAtMs = clock.monotonicMs() + backoffMs(RETRY, Math.min(pending.attempts, 10), random);
    if (error.code === "digest-mismatch") events.releaseRefused(name, error);
    else events.releaseDelayed(name, error);
  }

  /** Of the newest release: what is served, where that is the newest. */
  #manifestOf({ site, manifest }: Pending): Manifest | undefined {
    const active = this.get(site.name);
    return active?.generation === site.release?.generation ? active?.manifest : manifest?.parsed;
  }

  #missing(pending: Pending): readonly BlobNeed[] {
    const { folder } = this.#options;
    const missing = new Map<Digest, BlobNeed>();
    for (const file of Object.values(this.#manifestOf(pending)?.files ?? {})) {
      for (const { digest, sizeBytes } of blobsOf(file)) {
        if (!folder.has(digest)) missing.set(digest, { digest, sizeBytes, site: pending.site.name });
      }
    }
    return [...missing.values()];
  }

  /** Only while nothing is under way: an unread manifest's objects would look as if nobody needed them. */
  #collect(): void {
    const { folder, events } = this.#options;
    const pendings = [...this.#pending.values()];
    const isSettled = pendings.every((pending) => !pending.isBusy && this.#stepOf(pending).kind !== "fetch-manifest");
    if (!isSettled) return;
    this.#needsCollection = false;
    const needed = new Set(this.#wantedBlobs().map(({ digest }) => digest));
    folder.collect(needed).then(events.blobsCollected, (error: unknown) => events.storageFailed(error));
  }

  #wantedBlobs(): readonly BlobReference[] {
    const pendings = [...this.#pending.values()];
    const manifests = [...this.#options.active.all()].map(({ manifest }) => manifest);
    const coming = pendings.flatMap(({ manifest }) => manifest?.parsed ?? []);
    const named = pendings.flatMap(({ site }) => site.release?.manifest ?? []);
    return [...[...manifests, ...coming].flatMap(({ files }) => Object.values(files).flatMap(blobsOf)), ...named];
  }
}

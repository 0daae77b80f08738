/** What the processes of an edge say to one another, on one ordered channel for each front process. */
import type { Fields } from "#domain/http/fields.ts";
import type { Address } from "#platform/address.ts";
import type { CertificatePair } from "#platform/identity/site-certificate.ts";
import type { ConnectionRefusal } from "../events.ts";
import type { HandshakeFailure } from "../front/tls/tls-listener.ts";
import type { PurgeOrder } from "../store/purging.ts";
import type { StoredResponse } from "../store/stored-response.ts";
import type { TalliedCounts } from "../usage/site-tallies.ts";

/** What TLS is served with. */
export interface Secrets {
  /** In the order in which their sources were first offered. */
  readonly pairs: readonly (CertificatePair & { readonly source: string })[];
  readonly ticketKeys: Uint8Array;
}

/** What is asked for: without what only the answer to one request needs. */
export interface Asked {
  readonly webOrigin: string;
  readonly target: string;
}

/** With an `id`: to be answered with `done` once it is in effect. */
export type FromMain =
  | {
      readonly kind: "start";
      readonly http: Address;
      readonly tls?: { readonly address: Address; readonly secrets: Secrets };
      /** Where connections are brought to. */
      readonly carriers: string;
      readonly accessLog: string;
    }
  | { readonly kind: "secrets"; readonly secrets: Secrets }
  /** `undefined`: there is none to be had now. */
  | { readonly kind: "copy"; readonly asked: Asked; readonly stored: StoredResponse | undefined }
  | { readonly kind: "drop"; readonly id: number; readonly cacheKey: string }
  | { readonly kind: "order"; readonly id: number; readonly order: PurgeOrder }
  /** All of a site, or of all. */
  | { readonly kind: "forget"; readonly id: number; readonly site: string | undefined }
  | { readonly kind: "reopen-log" }
  | { readonly kind: "stop"; readonly graceMs: number };

/** What has happened since it was last told. */
export interface Counts {
  /** Hits by status. */
  readonly hits: ReadonlyMap<number, number>;
  /** Of files of published sites. */
  readonly published: ReadonlyMap<number, number>;
  readonly sentBytes: number;
  readonly connectionsRefused: ReadonlyMap<ConnectionRefusal, number>;
  /** By protocol, and whether the session was resumed. */
  readonly handshakes: ReadonlyMap<`${"h2" | "http/1.1"} ${boolean}`, number>;
  readonly handshakesFailed: ReadonlyMap<HandshakeFailure, number>;
  readonly linesLost: number;
  /** Cache keys of what was answered with. */
  readonly used: readonly string[];
  /** By site. */
  readonly usage: ReadonlyMap<string, TalliedCounts>;
}

export type FromFront =
  | { readonly kind: "listening"; readonly http: Address; readonly tls?: Address }
  | { readonly kind: "want"; readonly asked: Asked; readonly host: string; readonly fields: Fields }
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "counted"; readonly counts: Counts }
  | { readonly kind: "log-failed"; readonly message: string }
  /** It does not go on. */
  | { readonly kind: "failed"; readonly message: string };

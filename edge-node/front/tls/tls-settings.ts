/** What every TLS connection of an edge agrees on: versions, ciphers, sessions. Pure. */
import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";

/** A ticket is of use for as long; whoever steals a ticket key reads no session older than this and its rotation. */
export const SESSION_SECONDS = 4 * 3600;

/** Forward secrecy and authenticated encryption only (RFC 9325 section 4.2); TLS 1.3 has its own suites. */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

export const TLS_SETTINGS = {
  minVersion: "TLSv1.2",
  ciphers: CIPHERS,
  // AES of 128 bits before that of 256: a quarter less work for each byte.
  honorCipherOrder: true,
  // A client that negotiates anew in TLS 1.2 makes the server work ten times as hard as itself.
  // A client that would rather have ChaCha20 has no AES in hardware, and gets it (RFC 9325 section 4.2.1).
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_PRIORITIZE_CHACHA,
  sessionTimeout: SESSION_SECONDS,
  // Sessions are resumed whichever process of the same edge made them.
  sessionIdContext: "perigee-edge",
} as const satisfies SecureContextOptions;

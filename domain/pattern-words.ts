/** What texts of the patterns that users write against look like, in words. Pure. */
import { DIGEST_PATTERN } from "./content/release.ts";
import { DOTTED_NAME_PATTERN, NAME_PATTERN } from "./ids.ts";
import { WINDOW_END_PATTERN, WINDOW_START_PATTERN } from "./policy/prefetch-window.ts";
import { STUN_URL_PATTERN, TURN_URL_PATTERN } from "./session/ice-server.ts";

export const COUNTRY_PATTERN = "^[A-Z]{2}$";

/** As what follows "must be". */
export const PATTERN_WORDS: ReadonlyMap<string, string> = new Map([
  [NAME_PATTERN, "a DNS label (a-z, 0-9, '-', at most 63 characters)"],
  [DOTTED_NAME_PATTERN, "DNS labels with dots between (a-z, 0-9, '-', '.', at most 253 characters)"],
  [DIGEST_PATTERN, "a SHA-256 of 64 hexadecimal digits in lower case"],
  [COUNTRY_PATTERN, "two capital letters (ISO 3166-1 alpha-2)"],
  [WINDOW_START_PATTERN, "a time from 00:00 to 23:59"],
  [WINDOW_END_PATTERN, "a time from 00:00 to 24:00"],
  [STUN_URL_PATTERN, "stun:HOST or stun:HOST:PORT (turn:… has a secretFile beside its urls)"],
  [
    TURN_URL_PATTERN,
    "turn:HOST or turns:HOST, with :PORT and ?transport=udp or tcp where not as usual (stun:… has no secretFile)",
  ],
]);

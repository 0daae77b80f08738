/** How much of what a client sends may be other than requests and content: what floods of small frames exceed. Pure. */

/** A browser sends some hundred bytes of settings, priorities and windows a page. */
const OVERHEAD_BYTES_MAX = 256 * 1024;
/** Pings of a connection that waits, many times over. */
const OVERHEAD_BYTES_PER_SECOND = 4 * 1024;
/** A byte of content in a frame of its own brings 9 of the frame's head. */
const OVERHEAD_PER_CONTENT_BYTE = 10;
/** Windows are opened by 13 bytes for a few kilobytes at least. */
const SENT_BYTES_PER_OVERHEAD_BYTE = 16;
/** Frame and TLS record around a head. */
const OVERHEAD_PER_REQUEST_BYTES = 64;

/** Counted from the connection's beginning. */
export interface SessionTraffic {
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly requests: number;
  readonly headBytes: number;
  readonly contentBytes: number;
}

/** Bytes of overhead that count still, at a time of the monotonic clock. */
export interface FloodState {
  readonly overheadBytes: number;
  readonly traffic: SessionTraffic;
  readonly atMs: number;
}

export function beginFloodState(atMs: number): FloodState {
  const traffic = { receivedBytes: 0, sentBytes: 0, requests: 0, headBytes: 0, contentBytes: 0 };
  return { overheadBytes: 0, traffic, atMs };
}

/** A leaking bucket: overhead fills it, time and useful traffic empty it. */
export function nextFloodState(state: FloodState, traffic: SessionTraffic, nowMs: number): FloodState {
  const before = state.traffic;
  const useful =
    traffic.headBytes -
    before.headBytes +
    (traffic.requests - before.requests) * OVERHEAD_PER_REQUEST_BYTES +
    (traffic.contentBytes - before.contentBytes) * OVERHEAD_PER_CONTENT_BYTE +
    (traffic.sentBytes - before.sentBytes) / SENT_BYTES_PER_OVERHEAD_BYTE;
  const leaked = ((nowMs - state.atMs) / 1000) * OVERHEAD_BYTES_PER_SECOND;
  const received = traffic.receivedBytes - before.receivedBytes;
  return { overheadBytes: Math.max(0, state.overheadBytes + received - useful - leaked), traffic, atMs: nowMs };
}

export function isFlood({ overheadBytes }: FloodState): boolean {
  return overheadBytes > OVERHEAD_BYTES_MAX;
}

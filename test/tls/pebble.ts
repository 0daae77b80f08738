/** A real ACME server, Pebble, for tests, and the DNS server that it asks: every name is this machine. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { closeServer, listen } from "#platform/http/listening.ts";
import { freePort } from "../free-ports.ts";
import { createTestAuthority } from "./certificates.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const HEAD_BYTES = 12;
const TYPE_A = 1;

/** `PEBBLE`, the PATH, or where `go install` puts it; `undefined` where it is nowhere. */
export function findPebble(): string | undefined {
  const { PEBBLE, PATH = "", GOBIN } = process.env;
  const folders = [...PATH.split(delimiter), GOBIN ?? "", join(homedir(), "go", "bin")];
  return [PEBBLE ?? "", ...folders.map((folder) => join(folder, "pebble"))].find(
    (path) => path !== "" && existsSync(path),
  );
}

export const PEBBLE_MISSING =
  "Pebble is not here: go install github.com/letsencrypt/pebble/v2/cmd/pebble@latest, and PEBBLE=path/to/it where it is not in PATH";

export interface Pebble extends AsyncDisposable {
  readonly directoryUrl: string;
  /** Of who signed the certificate of its own API. */
  readonly trustedPem: string;
}

export interface PebbleOptions {
  readonly program: string;
  readonly folder: string;
  /** Where it asks for challenges. */
  readonly httpPort: number;
  readonly validitySeconds?: number;
  readonly nowMs: number;
}

export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const { program, folder, httpPort, validitySeconds = 7_776_000, nowMs } = options;
  await using stack = new AsyncDisposableStack();
  const dns = await startNameServer();
  stack.defer(dns.close);
  const authority = await createTestAuthority(nowMs);
  const own = await authority.issue(["localhost"]);
  const [port, managementPort] = [await freePort(), await freePort()];
  const paths = { certificate: join(folder, "own.crt"), privateKey: join(folder, "own.key") };
  await writeFile(paths.certificate, own.certificatePem);
  await writeFile(paths.privateKey, own.keyPem);
  const config = {
    ...paths,
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
    httpPort,
    tlsPort: httpPort,
    ocspResponderURL: "",
    keyAlgorithm: "ecdsa",
    profiles: { default: { description: "of the test", validityPeriod: validitySeconds } },
  };
  await writeFile(join(folder, "pebble.json"), JSON.stringify({ pebble: config }));
  // Validated at once, and each time anew.
  const child = spawn(program, ["-config", join(folder, "pebble.json"), "-dnsserver", `127.0.0.1:${dns.port}`], {
    env: { ...process.env, PEBBLE_VA_NOSLEEP: "1", PEBBLE_AUTHZREUSE: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  stack.defer(() => end(child));
  await saidBy(child, "Listening on");
  const running = stack.move();
  return {
    directoryUrl: `https://localhost:${port}/dir`,
    trustedPem: authority.authorityPem,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

function saidBy(child: ChildProcess, words: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    const onText = (chunk: Buffer): void => {
      said += chunk.toString();
      if (said.includes(words)) resolve();
    };
    child.stdout?.on("data", onText);
    child.stderr?.on("data", onText);
    child.once("exit", () => reject(new Error(`it ended: ${said}`)));
  });
}

/** Over TCP, as Pebble asks: answers A with 127.0.0.1, anything else with nothing (RFC 1035 section 4). */
async function startNameServer(): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const server = createServer((socket) => {
    let bytes = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.byteLength < 2 || bytes.byteLength < 2 + bytes.readUInt16BE()) return;
      const answer = answerTo(bytes.subarray(2, 2 + bytes.readUInt16BE()));
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.byteLength);
      socket.end(Buffer.concat([length, answer]));
    });
  });
  const { port } = await listen(server, LOCAL);
  return { port, close: () => closeServer(server) };
}

function answerTo(question: Buffer): Buffer {
  let at = HEAD_BYTES;
  while ((question[at] ?? 0) > 0) at += 1 + (question[at] ?? 0);
  const isAddress = question.readUInt16BE(at + 1) === TYPE_A;
  const asked = question.subarray(HEAD_BYTES, at + 5);
  const head = Buffer.alloc(HEAD_BYTES);
  question.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8580, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(isAddress ? 1 : 0, 6);
  if (!isAddress) return Buffer.concat([head, asked]);
  // A pointer to the name asked for; A, IN, 60 seconds, 4 bytes.
  return Buffer.concat([head, asked, Buffer.from([0xc0, HEAD_BYTES, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1])]);
}

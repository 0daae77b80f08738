/** What a hit is measured on: this edge, nginx with `proxy_cache`, and Varnish; each on one core, in front of one upstream. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProcess } from "#test/bench/processes.ts";
import { freePort } from "#test/free-ports.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
/** Of the subjects; the load comes from the other. */
export const CORE = "0";
export const LOAD_CORE = "1";

export interface Subject extends AsyncDisposable {
  readonly name: string;
  /** Of the process that all others are children of. */
  readonly pid: number;
  readonly port: number;
  /** Where it has TLS. */
  readonly tlsPort: number | undefined;
}

export interface Ground {
  readonly folder: string;
  readonly upstreamPort: number;
  readonly certificate: string;
  readonly key: string;
}

/** PEM of a key that only this run uses. */
export function makeCertificate(folder: string): Pick<Ground, "certificate" | "key"> {
  const [certificate, key] = [join(folder, "site.crt"), join(folder, "site.key")];
  const words = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const subject = [
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost",
    "-addext",
    "basicConstraints=CA:FALSE",
  ];
  const made = spawnSync("openssl", ["req", "-x509", ...words, ...subject, "-keyout", key, "-out", certificate]);
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr}`);
  return { certificate, key };
}

const onCore = (command: string, words: readonly string[], ready: RegExp) =>
  startProcess({ command: "taskset", words: ["-c", CORE, command, ...words], ready });

export async function startNginx({ folder, upstreamPort, certificate, key }: Ground): Promise<Subject> {
  const [port, tlsPort] = [await freePort(), await freePort()];
  const temporary = ["client_body", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`);
  // As root its worker would be another user, who cannot come into the folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `daemon off; ${user} worker_processes 1; pid ${folder}/nginx.pid; error_log stderr notice;
events { worker_connections 1024; }
http {
  access_log ${folder}/nginx-access.log; sendfile on; tcp_nopush on;
  keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;
  proxy_temp_path ${folder}/proxy; ${temporary.join(" ")}
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=perigee:10m max_size=1g inactive=1d use_temp_path=off;
  server {
    listen 127.0.0.1:${port};
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;
    location / {
      proxy_pass http://127.0.0.1:${upstreamPort}; proxy_cache perigee; add_header X-Cache $upstream_cache_status;
    }
  }
}
`,
  );
  const running = await onCore("nginx", ["-p", folder, "-e", "stderr", "-c", config], /start worker process \d+/);
  return { ...running, name: "nginx", port, tlsPort };
}

export async function startVarnish({ folder, upstreamPort }: Ground): Promise<Subject> {
  const port = await freePort();
  const places = ["-n", join(folder, "varnish"), "-a", `127.0.0.1:${port}`, "-b", `127.0.0.1:${upstreamPort}`];
  const bounds = ["-s", "malloc,256m", "-p", "timeout_idle=600", "-t", "86400"];
  const running = await onCore(
    "varnishd",
    ["-F", "-j", "none", ...places, ...bounds],
    /Child \(\d+\) said Child starts/,
  );
  return { ...running, name: "varnish", port, tlsPort: undefined };
}

/** `main`: the program with what comes before the options; it takes what `perigee edge` takes. */
export async function startPerigee({ folder, upstreamPort, certificate, key }: Ground, main: string): Promise<Subject> {
  const tlsPort = await freePort();
  const [program = "", ...words] = main.split(" ");
  const flags = {
    "--listen": "127.0.0.1:0",
    "--listen-tls": `127.0.0.1:${tlsPort}`,
    "--certificate": certificate,
    "--key": key,
    "--upstream": `http://127.0.0.1:${upstreamPort}`,
    "--store": join(folder, "store"),
    "--access-log": join(folder, "perigee-access.log"),
    "--admin": "127.0.0.1:0",
  };
  const running = await onCore(
    process.execPath,
    [join(ROOT, program), ...words, ...Object.entries(flags).flat()],
    /on http:\/\/127\.0\.0\.1:(\d+)/,
  );
  return { ...running, name: "edge", port: Number(running.said[1]), tlsPort };
}

/** A session's life without its media: create, probe the candidates, be placed, renew, end. */
import { check } from "k6";
import http from "k6/http";
import { Rate, Trend } from "k6/metrics";
import type { Options } from "k6/options";
import { type ClientKey, createClientKey } from "./client-key.ts";
import { plan, sharedOptions, steadyRate } from "./given-plan.ts";
import { type ProbeTarget, recordsIn, textIn } from "./steering.ts";

const SECONDS = plan.isSmoke ? 12 : 45;
const SAMPLES = 3;
/** A placement that is not connected to holds a slot until it is ended: software-rendered slots are few. */
const SESSIONS_PER_SECOND = 2;
const PLACED = ["placed", "degraded"];

const placedRatio = new Rate("sessions_placed");
const placingMs = new Trend("session_create_to_placed", true);

export const options: Options = {
  ...sharedOptions,
  scenarios: { lives: steadyRate("lives", SESSIONS_PER_SECOND, SECONDS) },
  thresholds: {
    checks: ["rate==1"],
    http_req_failed: ["rate==0"],
    sessions_placed: ["rate>0.99"],
    session_create_to_placed: ["p(95)<1500"],
    "http_req_duration{name:create}": ["p(95)<250"],
    "http_req_duration{name:probe}": ["p(95)<250"],
    "http_req_duration{name:place}": ["p(95)<250"],
    "http_req_duration{name:renew}": ["p(95)<250"],
    "http_req_duration{name:end}": ["p(95)<250"],
  },
};

/** Each virtual user is one device: it keeps its key. */
let device: ClientKey | undefined;

export async function lives(): Promise<void> {
  device ??= await createClientKey();
  const startedMs = Date.now();
  const created = post("create", `${plan.scheduler}/v1/sessions`, {
    app: plan.session.app,
    tier: "relaxed",
    key: device.publicKey,
    device: { name: "k6", decodeMs: 2, jitterMs: 2 },
  });
  const session = textIn(created, "session");
  const targets = recordsIn(created, "candidates").flatMap(targetOf);
  const isCreated = { "created with candidates": () => created.status < 300 && session !== "" && targets.length > 0 };
  if (!check(created, isCreated)) return;

  const url = `${plan.scheduler}/v1/sessions/${session}`;
  const results = probe(targets);
  check(results, { "every candidate answers its probe": ({ length }) => length === targets.length });
  const placed = post("place", `${url}/probes`, { proof: await device.prove("POST", `${url}/probes`), results });
  const isPlaced = PLACED.includes(textIn(placed, "state"));
  placedRatio.add(isPlaced);
  if (isPlaced) {
    placingMs.add(Date.now() - startedMs);
    const proof = await device.prove("POST", `${url}/renew`);
    const placement = textIn(placed, "placement");
    const renewed = post("renew", `${url}/renew`, { proof, placement, reason: "promotion" });
    check(renewed, { "renewed or told to keep it": ({ status }) => status === 200 || status === 204 });
  }
  const proof = await device.prove("DELETE", url);
  const ended = http.del(url, JSON.stringify({ proof }), parameters("end"));
  check(ended, { ended: ({ status }) => status < 300 });
}

/** One request opens each connection; then three samples, all candidates at once. */
function probe(targets: readonly ProbeTarget[]): { answer: string; rttMs: number[] }[] {
  const results = new Map<string, { answer: string; rttMs: number[] }>();
  for (let sample = 0; sample <= SAMPLES; sample += 1) {
    const requests = targets.map(({ url, token }) => ({
      method: "GET",
      url: `${url}/.perigee/v1/probe?token=${encodeURIComponent(token)}`,
      params: { tags: { name: sample === 0 ? "probe (connects)" : "probe" } },
    }));
    for (const [index, response] of http.batch(requests).entries()) {
      const { node } = targets[index] ?? { node: "" };
      const answer = textIn(response, "answer");
      if (answer === "") continue;
      const before = results.get(node)?.rttMs ?? [];
      results.set(node, { answer, rttMs: sample === 0 ? before : [...before, response.timings.duration] });
    }
  }
  return [...results.values()].filter(({ rttMs }) => rttMs.length > 0);
}

function targetOf({ node, url, token }: Readonly<Record<string, unknown>>): readonly ProbeTarget[] {
  if (typeof node !== "string" || typeof url !== "string" || typeof token !== "string") return [];
  return [{ node, url, token }];
}

function post(name: string, url: string, body: object) {
  return http.post(url, JSON.stringify(body), parameters(name));
}

function parameters(name: string) {
  const { appToken, webOrigin } = plan.session;
  return {
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${appToken}`, Origin: webOrigin },
    tags: { name },
  };
}

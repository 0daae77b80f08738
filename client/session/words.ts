/** What a session is doing, in words for a person: what it is, and what can be done. Pure. */
import type { Problem, SessionFacts, SessionView } from "./session-ports.ts";

export interface Words {
  readonly title: string;
  readonly detail: string;
  /** Whether a person can ask to try again now. */
  readonly canRetry: boolean;
}

export function describeSession({ phase, facts }: SessionView, nowMs: number): Words {
  const say = (title: string, detail = "", canRetry = false): Words => ({ title, detail, canRetry });
  const count = facts.candidates.length;
  switch (phase) {
    case "creating":
      return say("Asking where to render", "The scheduler names the edges that could hold this session.");
    case "probing":
      return say("Measuring the distance", `The round trip to ${count} ${count === 1 ? "edge" : "edges"} is measured.`);
    case "placing":
      return say("Choosing the place", "The scheduler weighs the measured distances.");
    case "queued":
    case "requeued":
      return say("Waiting for a free slot", queueWords(facts, nowMs));
    case "connecting":
      return say("Connecting", `Pool ${facts.placement?.pool ?? ""} starts the renderer.`);
    case "running":
      return say("Running", placeWords(facts));
    case "resuming":
      return say("The renderer was lost: resuming", `Another one of the same place is asked. ${reason(facts)}`);
    case "renewing":
      return say("The place was lost: moving on", `The scheduler is asked for another place. ${reason(facts)}`);
    case "direct":
      return say("The scheduler does not answer", "The edges nearby are asked directly.");
    case "waiting":
      return say(
        "It did not work yet",
        sentences(reason(facts), remedy(facts.problem), retryWords(facts, nowMs)),
        true,
      );
    case "failed":
      return say("It cannot work like this", sentences(reason(facts), remedy(facts.problem)), true);
    case "ended":
      return say("The session has ended", "Reload the page to begin another.");
  }
}

function placeWords({ grant, placement }: SessionFacts): string {
  if (grant === undefined) return "";
  const by = placement?.decision === undefined ? ", placed by the edge itself" : "";
  const where = `${placement === undefined ? "" : `, pool ${placement.pool}`}${by}`;
  const degraded = placement?.state === "degraded" ? ", above its latency budget until a nearer slot is free" : "";
  return `Agent ${grant.connected.agent}${where}${degraded}.`;
}

function queueWords(facts: SessionFacts, nowMs: number): string {
  const best = facts.bestAchievableMs;
  const could = best === undefined ? "" : `The best place for it would take ${best.toFixed(0)} ms.`;
  const free = "No slot within the latency budget is free.";
  // A place that said no has its reason: an app that fails everywhere finds no slot either.
  return sentences(free, could, retryWords(facts, nowMs), reason(facts));
}

function retryWords({ retryAtMs }: SessionFacts, nowMs: number): string {
  if (retryAtMs === undefined) return "";
  return `Asking again in ${Math.max(1, Math.ceil((retryAtMs - nowMs) / 1000))} s.`;
}

function reason({ problem }: SessionFacts): string {
  if (problem === undefined) return "";
  return `${problem.message}${/[.!?]$/.test(problem.message) ? "" : "."}`;
}

function sentences(...all: readonly string[]): string {
  return all.filter((sentence) => sentence !== "").join(" ");
}

/** A browser says of neither that it is the reason: both look like nobody answering. */
const NOT_REACHED =
  "Where the browser asks whether this page may reach devices on your network, allow it; where it warns of a " +
  "certificate when their address is opened, this device does not trust it yet.";

/** Codes of the services are in docs/errors.md; these are what a person at the page can act on. */
const REMEDIES: Readonly<Record<string, string>> = {
  "token-expired": "The page was published with a token that has expired: ask who publishes it.",
  "token-invalid": "The page was published with a token that this scheduler does not take: ask who publishes it.",
  "token-revoked": "The page's token was revoked: ask who publishes it.",
  "permission-denied": "The page's token does not allow this app from this address: ask who publishes it.",
  "not-found": "The app is not installed here: ask who publishes the page.",
  "upstream-malformed": "Reload the page.",
  "config-invalid": "Mend config.json beside the page.",
  "browser-unfit": "Use another browser.",
  unreachable: NOT_REACHED,
  "no-edge-answers": NOT_REACHED,
  "media-unreachable": NOT_REACHED,
};

function remedy(problem: Problem | undefined): string {
  return problem === undefined ? "" : (REMEDIES[problem.code] ?? "");
}

/** Runs a session from its first call to its end: one phase after another, as the table of session-states.ts says. */
import { assert } from "#domain/assert.ts";
import {
  NOTHING_KNOWN,
  returnedFacts,
  type SessionFacts,
  type SessionPorts,
  type SessionWish,
  type Step,
} from "./session-ports.ts";
import { type Phase, TRANSITIONS } from "./session-states.ts";
import { STEPS } from "./session-steps.ts";

/** Resolves when the session is over, which is when `signal` is aborted; rejects only for a bug. */
export async function runSession(ports: SessionPorts, wish: SessionWish, signal: AbortSignal): Promise<void> {
  let phase: Phase = "creating";
  let facts: SessionFacts = NOTHING_KNOWN;
  const learn = (learnt: Partial<SessionFacts>): void => {
    facts = { ...facts, ...learnt };
    ports.onChange({ phase, facts });
  };
  const left = new Promise<Step>((resolve) => {
    const leave = (): void => resolve({ event: "left", learnt: {} });
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
  learn({});
  while (phase !== "ended") {
    const over = new AbortController();
    const input = { ports, wish, facts, learn, signal: AbortSignal.any([signal, over.signal]) };
    const step: Step = hasReturned(phase, facts)
      ? returned(facts, ports)
      : await Promise.race([STEPS[phase](input), ...returning(phase, facts, ports), left]);
    over.abort(new DOMException("the phase is over", "AbortError"));
    const next: Phase | null = TRANSITIONS[phase][step.event];
    assert(next !== null, `a session that is ${phase} can have ${step.event}`);
    phase = next;
    learn(step.learnt);
  }
  facts.grant?.link.close("client left");
  if (facts.session !== undefined) await ports.api.end(facts.session, facts.grant?.edge);
}

/** While a session looks for another link, or waits, the one that fell silent may be the first to bring pictures. */
function returning(phase: Phase, facts: SessionFacts, ports: SessionPorts): readonly Promise<Step>[] {
  if (facts.grant === undefined || TRANSITIONS[phase]["media-returned"] === null) return [];
  return [facts.grant.link.returned.then(() => returned(facts, ports))];
}

/** Before the phase began: nobody is asked for another link, which might end this one. */
function hasReturned(phase: Phase, { grant }: SessionFacts): boolean {
  return grant?.link.isLost === false && TRANSITIONS[phase]["media-returned"] !== null;
}

function returned(facts: SessionFacts, { clock }: SessionPorts): Step {
  return { event: "media-returned", learnt: returnedFacts(facts, clock.monotonicMs()) };
}

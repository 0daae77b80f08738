/** Reads the placement that an edge made by itself, for the page to show; who acts on it verifies it. Pure. */
import type { BudgetClaim } from "#contracts/tokens/claims.ts";
import { isRecord } from "../http.ts";
import type { Placed } from "./session-ports.ts";

const BUDGET_PARTS: readonly (keyof BudgetClaim)[] = [
  "budgetMs",
  "networkMsP95",
  "renderEncodeMsP95",
  "decodeJitterMs",
  "serialisationMs",
  "rttLimitMs",
];

/** `undefined` for what is no placement: the session runs, and nobody else can be shown where. */
export function readEdgePlacement(placement: string, edge: string): Placed | undefined {
  const claims = claimsOf(placement);
  const pool = claims?.["pool"];
  const budget = claims?.["budget"];
  if (typeof pool !== "string" || !isBudget(budget)) return undefined;
  return { state: "placed", decision: undefined, placement, pool, edges: [edge], budget };
}

function claimsOf(token: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const base64 = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isRecord(claims) ? claims : undefined;
  } catch {
    return undefined;
  }
}

function isBudget(value: unknown): value is BudgetClaim {
  return isRecord(value) && BUDGET_PARTS.every((part) => typeof value[part] === "number");
}

/** Which clients of one group the policies of sites tell apart. */
import { type NamedPolicy, networksOf } from "#domain/policy/policy-match.ts";
import { type NetworksTable, networksTable } from "./networks-table.ts";

export interface ToldApart {
  /** Of their matches. */
  readonly networks: Pick<NetworksTable, "isDivided">;
  readonly byCountry: boolean;
  /** An expression may ask for every bit. */
  readonly byAddress: boolean;
}

/** A set of policies does not change: what follows it is another array. */
const KNOWN = new WeakMap<readonly NamedPolicy[], ToldApart>();

export function toldApart(policies: readonly NamedPolicy[]): ToldApart {
  const known = KNOWN.get(policies);
  if (known !== undefined) return known;
  const matches = policies.flatMap(({ spec: { sites, match } }) => (sites.length > 0 ? (match ?? []) : []));
  const networks = matches.flatMap(({ cidrs }) => networksOf(cidrs ?? []));
  const told = {
    networks: networksTable(networks.map((network) => ({ network, group: "", coordinates: undefined }))),
    byCountry: matches.some(({ countries, expression }) => countries !== undefined || expression !== undefined),
    byAddress: matches.some(({ expression }) => expression?.includes("address") === true),
  };
  KNOWN.set(policies, told);
  return told;
}

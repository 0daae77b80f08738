/** The origins that a node knows, by its configuration and by the signed set it holds, and whose turn it is. */
import { assert } from "#domain/assert.ts";
import { knownOrigins, type OriginEndpointSpec } from "#domain/fleet/origin-endpoint.ts";
import type { AnyResource } from "#domain/resource.ts";
import { type Address, parseAddress, readAddress } from "./address.ts";
import { Rotation } from "./concurrency/rotation.ts";
import type { Random } from "./random.ts";

type Listener = keyof OriginEndpointSpec;
/** What a kind of node needs of an origin. */
type Endpoint<K extends Listener> = Pick<OriginEndpointSpec, K | "nodeRpc">;

export interface HeldSet {
  readonly resources: ReadonlyMap<string, AnyResource>;
}

export class OriginAddresses<K extends Listener> {
  readonly #configured: readonly Endpoint<K>[];
  readonly #rotation: Rotation;
  #set: HeldSet | undefined;

  /** Throws `argument-invalid` for a configured address that is none. */
  constructor(configured: readonly Endpoint<K>[], random: Pick<Random, "uuid">) {
    for (const endpoint of configured) for (const text of Object.values<string>(endpoint)) parseAddress(text);
    this.#configured = configured;
    this.#rotation = new Rotation(() => this.#known().map(({ nodeRpc }) => nodeRpc), random);
  }

  /** From now on its endpoints are known too, as they are at each turn. */
  learnFrom(set: HeldSet): void {
    this.#set = set;
  }

  /** For the next link; where it is a name, dialling looks it up. */
  dial(): Address {
    return parseAddress(this.#rotation.next());
  }

  /** For what is asked beside the link: of the origin that was dialled last, then of the others as their turns will come. */
  addresses(listener: K): readonly Address[] {
    const known = new Map(this.#known().map((endpoint) => [endpoint.nodeRpc, endpoint]));
    return this.#rotation.round().flatMap((id) => {
      const endpoint = known.get(id);
      return endpoint === undefined ? [] : [parseAddress(endpoint[listener])];
    });
  }

  /** The first of them. */
  current(listener: K): Address {
    const [first] = this.addresses(listener);
    assert(first !== undefined, "a node is configured with an origin");
    return first;
  }

  /** A schema cannot tell each address that is none. */
  #known(): readonly Endpoint<K>[] {
    const known: readonly Endpoint<K>[] = knownOrigins(this.#configured, this.#set?.resources.values() ?? []);
    return known.filter((endpoint) => Object.values<string>(endpoint).every((text) => readAddress(text) !== undefined));
  }
}

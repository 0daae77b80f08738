/** What the benchmark and its processes of hollow edges say to one another. */
import Type, { type Static } from "typebox";

export const commandSchema = Type.Union([
  Type.Object({ do: Type.Literal("connect") }),
  Type.Object({ do: Type.Literal("disconnect") }),
  /** From now on it is noted when an edge first has this revision or a later one. */
  Type.Object({ do: Type.Literal("await"), revision: Type.Integer() }),
  Type.Object({ do: Type.Literal("tell") }),
]);
export type Command = Static<typeof commandSchema>;

export const toldSchema = Type.Object({
  /** Edges whose link stands. */
  up: Type.Integer(),
  /** The lowest applied revision of all edges. */
  revision: Type.Integer(),
  /** When each edge that has it had the awaited revision, epoch milliseconds. */
  appliedAtMs: Type.Array(Type.Number()),
  /** Links that fell since the last `connect`, though nobody wanted it. */
  downs: Type.Integer(),
  /** The last that went wrong; empty where nothing did. */
  fault: Type.String(),
});
export type Told = Static<typeof toldSchema>;

/** What an invariant of the simulation is: a question asked after each step, or at the end, which answers what is wrong. */
import type { World } from "../world.ts";

/** `undefined` while it holds. It may remember what it saw: one is made for each run. */
export type Check = (world: World) => string | undefined;

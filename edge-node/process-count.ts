/** How many processes an edge may be. */

/** With the main one: beyond the cores of a machine they are of no use. */
export const PROCESSES_MAX = 64;

/** Which releases and apps are to be on one pool; written by the slow loop. Pure. */

export interface AssignmentSpec {
  readonly pool: string;
  /** Published sites whose current release the pool's edges hold ahead of requests. */
  readonly sites: readonly string[];
  readonly apps: readonly string[];
}

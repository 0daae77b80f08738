/** Who asks where it is no user agent: another edge, as its certificate says, for a URL that it was asked for. Pure. */

export interface PeerAsker {
  readonly askedBy: "sibling" | "child";
  /** Of that URL; the connection between edges is always TLS. */
  readonly scheme: "http" | "https";
}

/** The part of geoip-lite 2 that is used. */
declare module "geoip-lite" {
  interface Lookup {
    /** ISO 3166-1 alpha-2; empty where unknown. */
    readonly country: string;
    /** Degrees north and east; nulls where unknown. */
    readonly ll: readonly [number | null, number | null];
  }
  const geoip: { lookup(address: string): Lookup | null };
  export = geoip;
}

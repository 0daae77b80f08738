/** Where an address is by the GeoLite2 data of geoip-lite, which is read beside the start. */
import type { Coordinates } from "#domain/geography.ts";

export interface Place {
  /** ISO 3166-1 alpha-2. */
  readonly country: string | undefined;
  readonly coordinates: Coordinates | undefined;
}

export interface Geoip {
  /** Undefined where nothing is known, and until the data is loaded. */
  find(address: string): Place | undefined;
}

export const NO_GEOIP: Geoip = { find: () => undefined };

/** Loads 110 MB: only where it is wanted. Resolves when it can be asked. */
export async function loadGeoip(): Promise<Geoip> {
  const { default: geoip } = await import("geoip-lite");
  return {
    find(address) {
      const found = geoip.lookup(address);
      if (found === null) return undefined;
      const [latitude, longitude] = found.ll;
      const hasPlace = latitude !== null && longitude !== null && !(latitude === 0 && longitude === 0);
      return {
        country: found.country === "" ? undefined : found.country,
        coordinates: hasPlace ? { latitude, longitude } : undefined,
      };
    },
  };
}

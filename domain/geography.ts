/** Places on the globe and the distance between them. Pure. */

export interface Coordinates {
  /** Degrees north, -90 to 90. */
  readonly latitude: number;
  /** Degrees east, -180 to 180. */
  readonly longitude: number;
}

/** Mean radius of the Earth (IUGG R1, rounded). */
export const EARTH_RADIUS_KM = 6371;

const RADIANS_PER_DEGREE = Math.PI / 180;

/** Great-circle distance on a sphere (haversine formula). */
export function distanceKm(from: Coordinates, to: Coordinates): number {
  const latitude1 = from.latitude * RADIANS_PER_DEGREE;
  const latitude2 = to.latitude * RADIANS_PER_DEGREE;
  const halfLatitude = Math.sin((latitude2 - latitude1) / 2);
  const halfLongitude = Math.sin(((to.longitude - from.longitude) * RADIANS_PER_DEGREE) / 2);
  const chord = halfLatitude ** 2 + Math.cos(latitude1) * Math.cos(latitude2) * halfLongitude ** 2;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(chord)));
}

/** Where pools and the user are, as `config.json` says under `places`, and where that is on a map. Pure. */
import { ClientFailure } from "../failure.ts";
import { isRecord } from "../http.ts";

export interface Coordinates {
  readonly latitude: number;
  readonly longitude: number;
}

export interface PoolPlace extends Coordinates {
  readonly name: string;
  readonly region: string;
}

export interface Places {
  readonly pools: readonly PoolPlace[];
  /** `undefined` where whoever published the page does not know. */
  readonly here: Coordinates | undefined;
}

/** `undefined` where nothing is said. Throws `config-invalid`. */
export function parsePlaces(config: unknown): Places | undefined {
  const places = isRecord(config) ? config["places"] : undefined;
  if (places === undefined) return undefined;
  const pools = isRecord(places) ? places["pools"] : undefined;
  if (!isRecord(places) || !Array.isArray(pools)) throw invalid("must have a list of pools");
  return {
    pools: pools.map((pool: unknown) => {
      const { name, region } = isRecord(pool) ? pool : {};
      if (typeof name !== "string" || typeof region !== "string") throw invalid("each pool has a name and a region");
      return { name, region, ...parseCoordinates(pool) };
    }),
    here: places["here"] === undefined ? undefined : parseCoordinates(places["here"]),
  };
}

function parseCoordinates(value: unknown): Coordinates {
  const { latitude, longitude } = isRecord(value) ? value : {};
  const isWithin = (number: unknown, max: number): number is number =>
    typeof number === "number" && Math.abs(number) <= max;
  if (isWithin(latitude, 90) && isWithin(longitude, 180)) return { latitude, longitude };
  throw invalid(`a place has a latitude within 90 and a longitude within 180 degrees, got ${JSON.stringify(value)}`);
}

function invalid(what: string): ClientFailure {
  return new ClientFailure("config-invalid", `config.json: places: ${what}`);
}

/** Degrees around the outermost places, so that none stands at the border. */
const MARGIN_DEGREES = 8;
/** A map of one place still shows where that is. */
const SPAN_DEGREES_MIN = 24;
const LINES_MAX = 8;
const LINE_STEPS_DEGREES = [5, 10, 20, 30, 60] as const;

export interface MapFrame {
  readonly west: number;
  readonly north: number;
  readonly width: number;
  readonly height: number;
  /** Between the lines of its grid. */
  readonly stepDegrees: number;
}

/** Equirectangular, in degrees; `aspect` is width over height. */
export function frameAround(places: readonly Coordinates[], aspect: number): MapFrame {
  const [south, north] = rangeOf(places.map(({ latitude }) => latitude));
  const [west, east] = rangeOf(places.map(({ longitude }) => longitude));
  const height = Math.max(
    north - south + 2 * MARGIN_DEGREES,
    (east - west + 2 * MARGIN_DEGREES) / aspect,
    SPAN_DEGREES_MIN,
  );
  const width = height * aspect;
  const stepDegrees = LINE_STEPS_DEGREES.find((step) => width / step <= LINES_MAX) ?? 90;
  return { west: (west + east - width) / 2, north: (south + north + height) / 2, width, height, stepDegrees };
}

export interface LabelSide {
  /** What is far to the right has its name at its left. */
  readonly isAtLeft: boolean;
  /** Another place stands where the name would be read. */
  readonly isBelow: boolean;
}

/** Of a map's width and height: what a name takes, beside and above its place. */
const LABEL = { widthRatio: 1 / 3, heightRatio: 1 / 8 } as const;

export function labelSideOf(
  place: Coordinates,
  others: readonly Coordinates[],
  { west, width, height }: MapFrame,
): LabelSide {
  const isAtLeft = place.longitude > west + (width * 2) / 3;
  const isBelow = others.some(({ latitude, longitude }) => {
    const alongDegrees = isAtLeft ? place.longitude - longitude : longitude - place.longitude;
    const isBeside = alongDegrees >= 0 && alongDegrees < width * LABEL.widthRatio;
    return isBeside && Math.abs(latitude - place.latitude) < height * LABEL.heightRatio;
  });
  return { isAtLeft, isBelow };
}

function rangeOf(values: readonly number[]): readonly [number, number] {
  return values.length === 0 ? [0, 0] : [Math.min(...values), Math.max(...values)];
}

/** Multiples of the grid's step within a range. */
export function linesWithin(from: number, to: number, step: number): readonly number[] {
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(0, Math.floor(to / step) - first + 1) }, (_, index) => (first + index) * step);
}

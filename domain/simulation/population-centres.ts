/**
 * Large cities of the world, roughly: where a synthetic day's clients are. Coordinates to a tenth of a degree,
 * populations of the metropolitan areas in millions; good for what-ifs, and for nothing else. Pure.
 */
import type { Coordinates } from "../geography.ts";

export interface PopulationCentre {
  readonly name: string;
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
  readonly coordinates: Coordinates;
  readonly millions: number;
}

/** Name, country, latitude, longitude, millions. */
const ROWS = `
Amsterdam NL 52.4 4.9 2.5|Athens GR 38.0 23.7 3.2|Barcelona ES 41.4 2.2 5.5|Belgrade RS 44.8 20.5 1.7
Berlin DE 52.5 13.4 4.5|Birmingham GB 52.5 -1.9 2.9|Bordeaux FR 44.8 -0.6 1.2|Brussels BE 50.8 4.4 2.1
Bucharest RO 44.4 26.1 2.2|Budapest HU 47.5 19.1 3.0|Copenhagen DK 55.7 12.6 2.0|Dublin IE 53.3 -6.3 1.9
Dusseldorf DE 51.2 6.8 5.0|Edinburgh GB 55.9 -3.2 0.9|Frankfurt DE 50.1 8.7 2.7|Gothenburg SE 57.7 12.0 1.0
Hamburg DE 53.6 10.0 3.2|Helsinki FI 60.2 24.9 1.5|Krakow PL 50.1 19.9 1.0|Kyiv UA 50.5 30.5 3.5
Leipzig DE 51.3 12.4 1.0|Lisbon PT 38.7 -9.1 2.9|London GB 51.5 -0.1 14.0|Lyon FR 45.8 4.8 2.3
Madrid ES 40.4 -3.7 6.7|Manchester GB 53.5 -2.2 2.8|Marseille FR 43.3 5.4 1.9|Milan IT 45.5 9.2 5.0
Moscow RU 55.8 37.6 17.0|Munich DE 48.1 11.6 2.9|Naples IT 40.9 14.3 3.1|Oslo NO 59.9 10.8 1.1
Paris FR 48.9 2.4 11.0|Prague CZ 50.1 14.4 2.2|Riga LV 57.0 24.1 0.9|Rome IT 41.9 12.5 4.3
Rotterdam NL 51.9 4.5 1.8|Sofia BG 42.7 23.3 1.7|Stockholm SE 59.3 18.1 2.4|Stuttgart DE 48.8 9.2 2.7
Tallinn EE 59.4 24.8 0.6|Turin IT 45.1 7.7 1.7|Valencia ES 39.5 -0.4 1.6|Vienna AT 48.2 16.4 2.9
Vilnius LT 54.7 25.3 0.7|Warsaw PL 52.2 21.0 3.1|Zagreb HR 45.8 16.0 1.1|Zurich CH 47.4 8.5 1.5
Istanbul TR 41.0 29.0 15.5|Ankara TR 39.9 32.9 5.5|Tel Aviv IL 32.1 34.8 4.0|Dubai AE 25.2 55.3 3.6
Riyadh SA 24.7 46.7 7.5|Tehran IR 35.7 51.4 9.5|Cairo EG 30.0 31.2 21.0|Casablanca MA 33.6 -7.6 4.3
Lagos NG 6.5 3.4 15.5|Accra GH 5.6 -0.2 4.0|Nairobi KE -1.3 36.8 5.5|Johannesburg ZA -26.2 28.0 10.0
Cape Town ZA -33.9 18.4 4.8|Algiers DZ 36.8 3.1 3.4|New York US 40.7 -74.0 19.5|Boston US 42.4 -71.1 4.9
Philadelphia US 40.0 -75.2 6.2|Washington US 38.9 -77.0 6.3|Atlanta US 33.7 -84.4 6.2|Miami US 25.8 -80.2 6.1
Tampa US 28.0 -82.5 3.3|Chicago US 41.9 -87.6 9.4|Detroit US 42.3 -83.0 4.3|Minneapolis US 45.0 -93.3 3.7
St Louis US 38.6 -90.2 2.8|Dallas US 32.8 -96.8 7.9|Houston US 29.8 -95.4 7.3|Denver US 39.7 -105.0 3.0
Phoenix US 33.4 -112.1 5.0|Salt Lake City US 40.8 -111.9 1.3|Las Vegas US 36.2 -115.1 2.3|Los Angeles US 34.1 -118.2 12.9
San Diego US 32.7 -117.2 3.3|San Francisco US 37.8 -122.4 6.5|Portland US 45.5 -122.7 2.5|Seattle US 47.6 -122.3 4.0
Toronto CA 43.7 -79.4 6.4|Montreal CA 45.5 -73.6 4.3|Vancouver CA 49.3 -123.1 2.7|Calgary CA 51.0 -114.1 1.6
Mexico City MX 19.4 -99.1 22.0|Guadalajara MX 20.7 -103.3 5.3|Monterrey MX 25.7 -100.3 5.3|Bogota CO 4.7 -74.1 11.0
Lima PE -12.0 -77.0 11.0|Santiago CL -33.4 -70.7 7.0|Buenos Aires AR -34.6 -58.4 15.5|Sao Paulo BR -23.6 -46.6 22.0
Rio de Janeiro BR -22.9 -43.2 13.0|Fortaleza BR -3.7 -38.5 4.1|Mumbai IN 19.1 72.9 21.0|Delhi IN 28.6 77.2 32.0
Bangalore IN 13.0 77.6 13.5|Chennai IN 13.1 80.3 11.5|Hyderabad IN 17.4 78.5 10.5|Kolkata IN 22.6 88.4 15.0
Karachi PK 24.9 67.0 17.0|Dhaka BD 23.8 90.4 23.0|Singapore SG 1.3 103.8 5.9|Kuala Lumpur MY 3.1 101.7 8.4
Jakarta ID -6.2 106.8 32.0|Bangkok TH 13.8 100.5 17.0|Ho Chi Minh City VN 10.8 106.7 14.0|Hanoi VN 21.0 105.8 8.5
Manila PH 14.6 121.0 24.0|Hong Kong HK 22.3 114.2 7.5|Taipei TW 25.0 121.5 7.0|Shanghai CN 31.2 121.5 29.0
Beijing CN 39.9 116.4 22.0|Shenzhen CN 22.5 114.1 17.5|Chengdu CN 30.7 104.1 16.0|Tokyo JP 35.7 139.7 37.0
Osaka JP 34.7 135.5 19.0|Fukuoka JP 33.6 130.4 2.6|Sapporo JP 43.1 141.3 2.6|Seoul KR 37.6 127.0 25.5
Busan KR 35.2 129.1 3.4|Sydney AU -33.9 151.2 5.3|Melbourne AU -37.8 145.0 5.2|Brisbane AU -27.5 153.0 2.6
Perth AU -32.0 115.9 2.2|Adelaide AU -34.9 138.6 1.4|Auckland NZ -36.8 174.8 1.7|Honolulu US 21.3 -157.9 1.0
`;

const ROW = /^(.+) ([A-Z]{2}) (-?[\d.]+) (-?[\d.]+) ([\d.]+)$/;

export const POPULATION_CENTRES: readonly PopulationCentre[] = ROWS.trim()
  .split(/[|\n]/)
  .map((row) => {
    const [, name = "", country = "", latitude, longitude, millions] = ROW.exec(row) ?? [];
    const coordinates = { latitude: Number(latitude), longitude: Number(longitude) };
    return { name, country, coordinates, millions: Number(millions) };
  });

/** What is shown where the picture is stale: a floor with a grid and a sky, drawn here, for where the head is. Pure. */

/** Ten frames at 30 Hz: by then a head has turned and gone to where the picture shows nothing right. */
export const STALE_MS_MAX = 300;
/** From the picture to the local scene; a jump would frighten. */
const FADE_MS = 300;

/** How much of the local scene is seen, 0..1, over a picture of this age. */
export function fadeOf(ageMs: number): number {
  return Math.min(Math.max((ageMs - STALE_MS_MAX) / FADE_MS, 0), 1);
}

/** GLSL: the colour along a ray of the world from a place in it, metres, y up, the floor at 0. */
export const LOCAL_SCENE = `
const vec3 HORIZON = vec3(0.16, 0.2, 0.27);
const vec3 ZENITH = vec3(0.03, 0.05, 0.1);
const vec3 FLOOR = vec3(0.09, 0.1, 0.13);
const vec3 LINES = vec3(0.35, 0.5, 0.65);
float lines(vec2 at) {
  vec2 width = fwidth(at) + 0.01;
  vec2 distance = abs(fract(at + 0.5) - 0.5);
  vec2 covered = 1.0 - smoothstep(width * 0.5, width * 1.5, distance);
  return max(covered.x, covered.y);
}
vec3 localScene(vec3 ray, vec3 place) {
  float fall = max(-ray.y, 0.001);
  float metres = max(place.y, 0.2) / fall;
  float grid = lines(place.xz + ray.xz * metres);
  vec3 floor = mix(mix(FLOOR, LINES, grid), HORIZON, 1.0 - exp(-0.12 * metres));
  return ray.y < 0.0 ? floor : mix(HORIZON, ZENITH, sqrt(ray.y));
}`;

/**
 * Shaders that draw one eye: each pixel is found in the picture that was rendered where the head was then, and moved by
 * what the depth planes say; over a stale picture lies a local scene. What is the same for all pixels, or linear over
 * them, is computed before; what a drawing has no use for is not in its program: without a GPU each pixel costs.
 */
import { LOCAL_SCENE } from "./local-scene.ts";
import { DEPTH_STEPS } from "./reprojection.ts";

/** What a program does beyond following the turn of the head. */
export interface Drawing {
  readonly followsDepth: boolean;
  /** The local scene is seen, by `fade`. */
  readonly isStale: boolean;
}

/** A triangle that covers the viewport; `homography` and `rays` take its points to the picture and to rays of the world. */
export const VERTEX_SHADER = `#version 300 es
uniform mat3 homography;
uniform mat3 rays;
out vec3 source;
out vec3 ray;
void main() {
  vec2 point = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
  gl_Position = vec4(point * 2.0 - 1.0, 0.0, 1.0);
  source = homography * vec3(point, 1.0);
  ray = rays * vec3(point, 1.0);
}`;

/**
 * Points are 0..1 of the eye's picture from the left and the top; the picture holds both eyes side by side; the planes
 * lie one below the other, the left eye's first. Limits are (least x, least y, most x, most y) in the texture.
 */
export function fragmentShader({ followsDepth, isStale }: Drawing): string {
  return `#version 300 es
precision highp float;
in vec3 source;
in vec3 ray;
uniform sampler2D picture;
uniform sampler2D planes;
uniform vec2 pictureOrigin;
uniform vec4 pictureLimits;
uniform vec2 planesOrigin;
uniform vec2 planesScale;
uniform vec4 planesLimits;
uniform vec3 shift;
uniform float fade;
uniform vec3 place;
out vec4 colour;
${isStale ? LOCAL_SCENE : ""}
float inverseDepth(vec2 at) {
  return texture(planes, clamp(planesOrigin + at * planesScale, planesLimits.xy, planesLimits.zw)).r;
}
vec3 streamed() {
  if (source.z <= 0.0) return vec3(0.0);
  vec2 from = source.xy / source.z;
  vec2 at = from;
  ${followsDepth ? depthSteps() : ""}
  return texture(picture, clamp(pictureOrigin + at * vec2(0.5, 1.0), pictureLimits.xy, pictureLimits.zw)).rgb;
}
void main() {
  colour = vec4(streamed(), 1.0);
  ${isStale ? "colour.rgb = mix(colour.rgb, localScene(normalize(ray), place), fade);" : ""}
}`;
}

/** One after the other, not a loop: software does it in three quarters of the time. */
function depthSteps(): string {
  const step = "at = from + inverseDepth(at) * along;";
  return ["vec2 along = shift.xy + shift.z * from;", ...Array<string>(DEPTH_STEPS).fill(step)].join("\n  ");
}

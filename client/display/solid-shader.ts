/**
 * Shaders of what is drawn over the picture: lit as an agent lights a scene, by a daylight of the display's own; where
 * the picture has depth planes, hidden behind what stands nearer in it.
 */
import { INVERSE_DEPTH_PER_METRE_MAX } from "#contracts/media/depth-shape.ts";

/**
 * What is nearer by so much hides: a step of the planes' 255 and a half, and 3 %: 2 cm at half a metre. What lies on a
 * table is not cut by the table.
 */
const NEARER = { perMetre: 0.025, ratio: 1.03 };
/** Before the eye, metres: what is nearer is cut off. */
const NEAR_METRES = 0.02;

/** A view's `field` has the tangents left, right, up, down; its `turn` takes the world's axes to the eye's. */
export const SOLID_VERTEX_SHADER = `#version 300 es
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
uniform vec3 place;
uniform vec4 rotation;
uniform vec3 scale;
uniform vec3 eye;
uniform vec4 turn;
uniform vec4 field;
uniform vec3 renderedEye;
uniform vec4 renderedTurn;
out vec3 facing;
out vec3 rendered;
vec3 turned(vec4 q, vec3 v) { return v + 2.0 * cross(q.xyz, cross(q.xyz, v) + q.w * v); }
void main() {
  vec3 world = place + turned(rotation, position * scale);
  vec3 seen = turned(turn, world - eye);
  vec2 skew = vec2(field.x - field.y, field.w - field.z);
  gl_Position = vec4((2.0 * seen.xy - seen.z * skew) / (field.xz + field.yw), -seen.z - ${(2 * NEAR_METRES).toFixed(3)}, -seen.z);
  facing = turned(rotation, normal / scale);
  rendered = turned(renderedTurn, world - renderedEye);
}`;

/** `planes…` as in the shader of the picture. */
export function solidFragmentShader(isHidden: boolean): string {
  return `#version 300 es
precision highp float;
in vec3 facing;
in vec3 rendered;
uniform vec3 colour;
uniform float glow;
uniform vec4 renderedField;
uniform sampler2D planes;
uniform vec2 planesOrigin;
uniform vec2 planesScale;
uniform vec4 planesLimits;
out vec4 shown;
const vec3 TOWARDS_SUN = vec3(0.37, 0.79, 0.49);
const vec3 SUN = vec3(0.9, 0.88, 0.8);
const vec3 ABOVE = vec3(0.32, 0.36, 0.42);
const vec3 BELOW = vec3(0.2, 0.18, 0.16);
${isHidden ? HIDING : ""}
void main() {
  ${isHidden ? "if (isBehind()) discard;" : ""}
  vec3 normal = normalize(facing);
  vec3 light = mix(BELOW, ABOVE, normal.y * 0.5 + 0.5) + max(dot(normal, TOWARDS_SUN), 0.0) * SUN;
  shown = vec4(sqrt(clamp(mix(colour * light, colour, glow), 0.0, 1.0)), 1.0);
}`;
}

/** Beside the picture nobody knows what stands there. */
const HIDING = `
bool isBehind() {
  float metres = -rendered.z;
  vec2 at = vec2(rendered.x / metres + renderedField.x, renderedField.z - rendered.y / metres) / (renderedField.xz + renderedField.yw);
  if (metres <= 0.0 || any(lessThan(at, vec2(0.0))) || any(greaterThan(at, vec2(1.0)))) return false;
  float nearest = texture(planes, clamp(planesOrigin + at * planesScale, planesLimits.xy, planesLimits.zw)).r;
  return nearest * ${INVERSE_DEPTH_PER_METRE_MAX.toFixed(1)} > ${NEARER.ratio.toFixed(3)} / metres + ${NEARER.perMetre.toFixed(3)};
}`;

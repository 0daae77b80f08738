/** The shader that draws one eye: each pixel's ray is turned back to where the head was when the frame was rendered. */

/** A triangle that covers the viewport. */
export const VERTEX_SHADER = `#version 300 es
out vec2 point;
void main() {
  point = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
  gl_Position = vec4(point * 2.0 - 1.0, 0.0, 1.0);
}`;

/** Fields of view are (left, right, up, down) tangents; the picture holds both eyes side by side, its first row on top. */
export const FRAGMENT_SHADER = `#version 300 es
precision highp float;
in vec2 point;
uniform sampler2D picture;
uniform vec4 shown;
uniform vec4 rendered;
uniform mat3 turn;
uniform float eye;
uniform float halfTexel;
out vec4 colour;
void main() {
  vec3 ray = turn * vec3(mix(-shown.x, shown.y, point.x), mix(-shown.w, shown.z, point.y), -1.0);
  if (ray.z >= 0.0) {
    colour = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  vec2 at = ray.xy / -ray.z;
  vec2 uv = vec2((at.x + rendered.x) / (rendered.x + rendered.y), (rendered.z - at.y) / (rendered.z + rendered.w));
  uv.x = clamp(uv.x, halfTexel, 1.0 - halfTexel) * 0.5 + eye * 0.5;
  colour = vec4(texture(picture, vec2(uv.x, clamp(uv.y, 0.0, 1.0))).rgb, 1.0);
}`;

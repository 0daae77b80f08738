/** The shader of the scene: one sun, light from above and below, patterns by arithmetic, fog towards the sky's colour. */
export const SCENE_SHADER = /* wgsl */ `
struct Eye { viewProjection: mat4x4f, position: vec4f };
struct Light { towards: vec4f, sun: vec4f, above: vec4f, below: vec4f, sky: vec4f };
@group(0) @binding(0) var<uniform> eye: Eye;
@group(0) @binding(1) var<uniform> light: Light;
struct Varying {
  @builtin(position) clip: vec4f,
  @location(0) normal: vec3f,
  @location(1) texture: vec2f,
  @location(2) colour: vec4f,
  @location(3) world: vec3f,
  @location(4) @interpolate(flat) pattern: f32,
};
fn turned(q: vec4f, v: vec3f) -> vec3f { return v + 2.0 * cross(q.xyz, cross(q.xyz, v) + q.w * v); }
@vertex fn vertexMain(
  @location(0) position: vec3f, @location(1) normal: vec3f, @location(2) texture: vec2f,
  @location(3) place: vec4f, @location(4) rotation: vec4f, @location(5) scale: vec4f, @location(6) colour: vec4f,
) -> Varying {
  var out: Varying;
  let world = turned(rotation, position * scale.xyz) + place.xyz;
  out.clip = eye.viewProjection * vec4f(world, 1.0);
  out.normal = turned(rotation, normal / scale.xyz);
  out.texture = texture;
  out.colour = colour;
  out.world = world;
  out.pattern = scale.w;
  return out;
}
@fragment fn fragmentMain(in: Varying) -> @location(0) vec4f {
  let normal = normalize(in.normal);
  let towardsEye = eye.position.xyz - in.world;
  let distance = length(towardsEye);
  var albedo = in.colour.rgb;
  let squares = floor(in.world.x) + floor(in.world.z);
  let stripe = floor(in.texture.y * 8.0);
  let odd = select(stripe, squares, in.pattern < 1.5);
  if (in.pattern > 0.5 && abs(odd - 2.0 * floor(odd * 0.5)) > 0.5) { albedo = albedo * 0.7; }
  let facing = max(dot(normal, light.towards.xyz), 0.0);
  let middle = normalize(light.towards.xyz + towardsEye / max(distance, 0.001));
  let shine = pow(max(dot(normal, middle), 0.0), 32.0) * 0.25 * facing;
  let ambient = mix(light.below.rgb, light.above.rgb, normal.y * 0.5 + 0.5);
  var lit = albedo * (ambient + facing * light.sun.rgb) + shine * light.sun.rgb;
  lit = mix(lit, in.colour.rgb, in.colour.a);
  lit = mix(lit, light.sky.rgb, 1.0 - exp(-distance * light.sky.a));
  return vec4f(sqrt(clamp(lit, vec3f(0.0), vec3f(1.0))), 1.0);
}`;

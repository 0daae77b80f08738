/**
 * The shader of glTF materials: metallic-roughness (glTF 2.0 appendix B.3) under the scene's sun, GGX with Smith's
 * visibility and Schlick's Fresnel, and light from above and below, whose reflection is Karis's approximation
 * ("Physically Based Shading on Mobile", 2014). Tangents that a mesh lacks come from derivatives.
 */
export const PBR_SHADER = /* wgsl */ `
struct Eye { viewProjection: mat4x4f, position: vec4f };
struct Light { towards: vec4f, sun: vec4f, above: vec4f, below: vec4f, sky: vec4f };
struct Material {
  baseColour: vec4f,
  emissive: vec4f, // w: 1 where unlit
  surface: vec4f, // metallic, roughness, normal scale, occlusion strength
  flags: vec4f, // alpha cut-off; 1 where double-sided
  // 0 without a texture, 1 with one, 2 where it goes by the second coordinates.
  baseColourUse: vec4f,
  otherUse: vec4f, // metallic-roughness, normal, occlusion, emissive
};
override IS_MASKED: bool = false;
override IS_BLENDED: bool = false;
const PI = 3.14159265;
@group(0) @binding(0) var<uniform> eye: Eye;
@group(0) @binding(1) var<uniform> light: Light;
@group(1) @binding(0) var<uniform> material: Material;
@group(1) @binding(1) var baseColourMap: texture_2d<f32>;
@group(1) @binding(2) var metallicRoughnessMap: texture_2d<f32>;
@group(1) @binding(3) var normalMap: texture_2d<f32>;
@group(1) @binding(4) var occlusionMap: texture_2d<f32>;
@group(1) @binding(5) var emissiveMap: texture_2d<f32>;
@group(1) @binding(6) var baseColourSampler: sampler;
@group(1) @binding(7) var metallicRoughnessSampler: sampler;
@group(1) @binding(8) var normalSampler: sampler;
@group(1) @binding(9) var occlusionSampler: sampler;
@group(1) @binding(10) var emissiveSampler: sampler;
struct Varying {
  @builtin(position) clip: vec4f,
  @location(0) world: vec3f,
  @location(1) normal: vec3f,
  @location(2) tangent: vec4f,
  @location(3) texture: vec4f,
  @location(4) colour: vec4f,
};
@vertex fn vertexMain(
  @location(0) position: vec3f, @location(1) normal: vec3f, @location(2) texture: vec4f,
  @location(3) tangent: vec4f, @location(4) colour: vec4f,
  @location(5) rowX: vec4f, @location(6) rowY: vec4f, @location(7) rowZ: vec4f,
) -> Varying {
  let columns = transpose(mat3x3f(rowX.xyz, rowY.xyz, rowZ.xyz));
  // Of the inverse transpose, but for a factor whose sign matters.
  let turned = mat3x3f(cross(columns[1], columns[2]), cross(columns[2], columns[0]), cross(columns[0], columns[1]));
  let mirror = select(1.0, -1.0, dot(columns[0], turned[0]) < 0.0);
  var out: Varying;
  out.world = columns * position + vec3f(rowX.w, rowY.w, rowZ.w);
  out.clip = eye.viewProjection * vec4f(out.world, 1.0);
  out.normal = turned * normal * mirror;
  out.tangent = vec4f(columns * tangent.xyz, tangent.w * mirror);
  out.texture = texture;
  out.colour = colour;
  return out;
}
fn unit(v: vec3f, otherwise: vec3f) -> vec3f {
  let square = dot(v, v);
  return select(otherwise, v * inverseSqrt(max(square, 1e-30)), square > 1e-24);
}
fn coordinates(in: Varying, textureUse: f32) -> vec2f { return select(in.texture.xy, in.texture.zw, textureUse > 1.5); }
// As seen by the map, on the surface whose normal is n; p and uv change as the derivatives say.
fn mapped(in: Varying, n: vec3f, px: vec3f, py: vec3f, ux: vec2f, uy: vec2f, texel: vec3f) -> vec3f {
  let seen = (texel * 2.0 - 1.0) * vec3f(material.surface.zz, 1.0);
  let across = cross(py, n);
  let along = cross(n, px);
  let derivedT = across * ux.x + along * uy.x;
  let derivedB = across * ux.y + along * uy.y;
  let longest = max(max(dot(derivedT, derivedT), dot(derivedB, derivedB)), 1e-30);
  let scale = inverseSqrt(longest);
  let given = unit(in.tangent.xyz - n * dot(n, in.tangent.xyz), vec3f(0.0));
  let hasTangent = abs(in.tangent.w) > 0.5;
  // Rows grow downwards, and so does the second coordinate, while maps are of a surface seen with y up.
  let t = select(-derivedT * scale, given, hasTangent);
  let b = select(derivedB * scale, cross(n, given) * sign(in.tangent.w), hasTangent);
  return unit(t * seen.x + b * seen.y + n * seen.z, n);
}
fn hemisphere(height: f32) -> vec3f { return mix(light.below.rgb, light.above.rgb, height); }
fn lit(albedo: vec3f, metallic: f32, roughness: f32, n: vec3f, v: vec3f, occlusion: f32) -> vec3f {
  let f0 = mix(vec3f(0.04), albedo, metallic);
  let diffuse = albedo * (1.0 - metallic);
  let l = light.towards.xyz;
  let h = unit(l + v, n);
  let nl = max(dot(n, l), 0.0);
  let nv = max(dot(n, v), 0.001);
  let nh = max(dot(n, h), 0.0);
  let a2 = roughness * roughness * roughness * roughness;
  let bell = nh * nh * (a2 - 1.0) + 1.0;
  let distribution = a2 / max(PI * bell * bell, 1e-7);
  let visibility = 0.5 / max(nl * sqrt(nv * nv * (1.0 - a2) + a2) + nv * sqrt(nl * nl * (1.0 - a2) + a2), 1e-5);
  let grazing = 1.0 - max(dot(v, h), 0.0);
  let fresnel = f0 + (1.0 - f0) * (grazing * grazing * grazing * grazing * grazing);
  let sun = ((1.0 - fresnel) * diffuse + fresnel * (PI * distribution * visibility)) * light.sun.rgb * nl;
  let r = roughness * vec4f(-1.0, -0.0275, -0.572, 0.022) + vec4f(1.0, 0.0425, 1.04, -0.04);
  let a004 = min(r.x * r.x, exp2(-9.28 * nv)) * r.x + r.y;
  let split = vec2f(-1.04, 1.04) * a004 + r.zw;
  let blur = mix(0.1, 1.0, roughness);
  let reflected = hemisphere(smoothstep(-blur, blur, reflect(-v, n).y));
  let around = diffuse * hemisphere(n.y * 0.5 + 0.5) + (f0 * split.x + split.y) * reflected;
  return sun + around * occlusion;
}
fn encoded(c: vec3f) -> vec3f {
  let clamped = clamp(c, vec3f(0.0), vec3f(1.0));
  return select(1.055 * pow(clamped, vec3f(1.0 / 2.4)) - 0.055, clamped * 12.92, clamped <= vec3f(0.0031308));
}
@fragment fn fragmentMain(in: Varying) -> @location(0) vec4f {
  let px = dpdx(in.world);
  let py = dpdy(in.world);
  let normalAt = coordinates(in, material.otherUse.y);
  let ux = dpdx(normalAt);
  let uy = dpdy(normalAt);
  var base = vec4f(1.0);
  var surface = vec3f(1.0);
  var bump = vec3f(0.5, 0.5, 1.0);
  var shade = 1.0;
  var glow = vec3f(1.0);
  // By software a texture costs as much as the light: those that are not there are not looked at.
  if (material.baseColourUse.x > 0.5) {
    base = textureSample(baseColourMap, baseColourSampler, coordinates(in, material.baseColourUse.x));
  }
  if (material.otherUse.x > 0.5) {
    surface = textureSample(metallicRoughnessMap, metallicRoughnessSampler, coordinates(in, material.otherUse.x)).rgb;
  }
  if (material.otherUse.y > 0.5) { bump = textureSample(normalMap, normalSampler, normalAt).rgb; }
  if (material.otherUse.z > 0.5) {
    shade = textureSample(occlusionMap, occlusionSampler, coordinates(in, material.otherUse.z)).r;
  }
  if (material.otherUse.w > 0.5) {
    glow = textureSample(emissiveMap, emissiveSampler, coordinates(in, material.otherUse.w)).rgb;
  }
  base = base * material.baseColour * in.colour;
  if (IS_MASKED && base.a < material.flags.x) { discard; }
  let towardsEye = eye.position.xyz - in.world;
  let distance = length(towardsEye);
  let v = towardsEye / max(distance, 0.001);
  let facet = unit(cross(px, py), v);
  let hasNormal = dot(in.normal, in.normal) > 1e-24;
  var n = unit(in.normal, facet);
  // Of two sides the one that is seen; and derivatives do not know the winding of a facet.
  let isTurnedAway = dot(facet, v) * select(-1.0, 1.0, dot(facet, n) >= 0.0) < 0.0;
  if (isTurnedAway && (material.flags.y > 0.5 || !hasNormal)) { n = -n; }
  if (material.otherUse.y > 0.5) { n = mapped(in, n, px, py, ux, uy, bump); }
  let occlusion = 1.0 + material.surface.w * (shade - 1.0);
  let roughness = clamp(material.surface.y * surface.g, 0.045, 1.0);
  var colour = lit(base.rgb, material.surface.x * surface.b, roughness, n, v, occlusion) + material.emissive.rgb * glow;
  colour = select(colour, base.rgb, material.emissive.w > 0.5);
  let fog = 1.0 - exp(-distance * light.sky.a);
  let shown = mix(encoded(colour), sqrt(light.sky.rgb), fog);
  return vec4f(shown, select(1.0, base.a, IS_BLENDED));
}`;

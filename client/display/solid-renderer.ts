/** Draws solids over the eyes' pictures, one after the other from the farthest; nothing is kept of what is drawn no more. */
import type { EyeSize } from "#contracts/media/depth-shape.ts";
import type { FieldOfView } from "#contracts/media/pose.ts";
import { conjugate } from "../pose/rotation.ts";
import type { EyeDrawing } from "./picture-renderer.ts";
import { linkProgram, type Program } from "./program.ts";
import { planesAreaOf } from "./reprojection.ts";
import { SOLID_VERTEX_SHADER, solidFragmentShader } from "./solid-shader.ts";
import { farthestFirst, type Solid, type SolidGeometry } from "./solids.ts";

export interface SolidRenderer extends Disposable {
  /** Into the framebuffer that is bound. Hidden by the planes of a picture of this size, in texture unit 1; by none where there is no size. */
  draw(solids: readonly Solid[], eyes: readonly EyeDrawing[], hiddenBy: EyeSize | undefined): void;
}

const UNIFORMS = [
  ...["place", "rotation", "scale", "colour", "glow", "eye", "turn", "field"],
  ...["renderedEye", "renderedTurn", "renderedField", "planes", "planesOrigin", "planesScale", "planesLimits"],
] as const;
type SolidProgram = Program<(typeof UNIFORMS)[number]>;

interface Uploaded {
  readonly vertexArray: WebGLVertexArrayObject;
  readonly buffers: readonly WebGLBuffer[];
}

export function createSolidRenderer(gl: WebGL2RenderingContext): SolidRenderer {
  const programs = new Map<boolean, SolidProgram>();
  const uploads = new Map<SolidGeometry, Uploaded>();
  const programFor = (isHidden: boolean): SolidProgram => {
    const known = programs.get(isHidden);
    if (known !== undefined) return known;
    const sources = { vertex: SOLID_VERTEX_SHADER, fragment: solidFragmentShader(isHidden) };
    const made = linkProgram(gl, sources, UNIFORMS);
    programs.set(isHidden, made);
    return made;
  };
  const vertexArrayOf = (geometry: SolidGeometry): WebGLVertexArrayObject => {
    const known = uploads.get(geometry) ?? upload(gl, geometry);
    uploads.set(geometry, known);
    return known.vertexArray;
  };
  const forgetBut = (kept: ReadonlySet<SolidGeometry>): void => {
    for (const [geometry, uploaded] of uploads) {
      if (kept.has(geometry)) continue;
      remove(gl, uploaded);
      uploads.delete(geometry);
    }
  };
  return {
    draw(solids, eyes, hiddenBy) {
      const program = programFor(hiddenBy !== undefined);
      gl.useProgram(program.program);
      gl.enable(gl.CULL_FACE);
      for (const drawing of eyes) {
        setEye(gl, program, drawing, hiddenBy);
        for (const solid of farthestFirst(solids, drawing.shown.position)) {
          gl.bindVertexArray(vertexArrayOf(solid.geometry));
          setSolid(gl, program, solid);
          gl.drawElements(gl.TRIANGLES, solid.geometry.indices.length, gl.UNSIGNED_BYTE, 0);
        }
      }
      gl.bindVertexArray(null);
      gl.disable(gl.CULL_FACE);
      forgetBut(new Set(solids.map(({ geometry }) => geometry)));
    },
    [Symbol.dispose]() {
      forgetBut(new Set());
      for (const { program } of programs.values()) gl.deleteProgram(program);
    },
  };
}

function setEye(
  gl: WebGL2RenderingContext,
  { at }: SolidProgram,
  { eye, viewport, shown, rendered }: EyeDrawing,
  hiddenBy: EyeSize | undefined,
): void {
  gl.viewport(viewport.x, viewport.y, viewport.width, viewport.height);
  gl.uniform3f(at("eye"), shown.position.x, shown.position.y, shown.position.z);
  setRotation(gl, at("turn"), conjugate(shown.orientation));
  setField(gl, at("field"), shown.fieldOfView);
  if (hiddenBy === undefined) return;
  gl.uniform3f(at("renderedEye"), rendered.position.x, rendered.position.y, rendered.position.z);
  setRotation(gl, at("renderedTurn"), conjugate(rendered.orientation));
  setField(gl, at("renderedField"), rendered.fieldOfView);
  const { origin, scale, limits } = planesAreaOf(hiddenBy, eye);
  gl.uniform1i(at("planes"), 1);
  gl.uniform2f(at("planesOrigin"), ...origin);
  gl.uniform2f(at("planesScale"), ...scale);
  gl.uniform4f(at("planesLimits"), ...limits);
}

function setSolid(gl: WebGL2RenderingContext, { at }: SolidProgram, solid: Solid): void {
  const { position, orientation, scale, colour, glowRatio } = solid;
  gl.uniform3f(at("place"), position.x, position.y, position.z);
  setRotation(gl, at("rotation"), orientation);
  gl.uniform3f(at("scale"), scale.x, scale.y, scale.z);
  gl.uniform3f(at("colour"), ...colour);
  gl.uniform1f(at("glow"), glowRatio);
}

function setRotation(
  gl: WebGL2RenderingContext,
  at: WebGLUniformLocation | null,
  { x, y, z, w }: Solid["orientation"],
): void {
  gl.uniform4f(at, x, y, z, w);
}

function setField(
  gl: WebGL2RenderingContext,
  at: WebGLUniformLocation | null,
  { left, right, up, down }: FieldOfView,
): void {
  gl.uniform4f(at, left, right, up, down);
}

function upload(gl: WebGL2RenderingContext, { positions, normals, indices }: SolidGeometry): Uploaded {
  const vertexArray = gl.createVertexArray();
  gl.bindVertexArray(vertexArray);
  const vertices = [positions, normals].map((values, attribute) => {
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(attribute);
    gl.vertexAttribPointer(attribute, 3, gl.FLOAT, false, 0, 0);
    return buffer;
  });
  const triangles = gl.createBuffer();
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, triangles);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
  return { vertexArray, buffers: [...vertices, triangles] };
}

function remove(gl: WebGL2RenderingContext, { vertexArray, buffers }: Uploaded): void {
  gl.deleteVertexArray(vertexArray);
  for (const buffer of buffers) gl.deleteBuffer(buffer);
}

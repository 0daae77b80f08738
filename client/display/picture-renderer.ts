/** Draws the newest decoded picture into a WebGL2 context, each eye reprojected to where the head is now. */
import { depthShapeOf, type EyeSize, INVERSE_DEPTH_PER_METRE_MAX } from "#contracts/media/depth-shape.ts";
import { ClientFailure } from "../failure.ts";
import { linkProgram, type Program } from "./program.ts";
import { type EyeView, homographyOf, pixelsMoved, planesAreaOf, raysOf, shiftOf } from "./reprojection.ts";
import { type Drawing, fragmentShader, VERTEX_SHADER } from "./shader.ts";
import { createSolidRenderer, type SolidRenderer } from "./solid-renderer.ts";
import type { Solid } from "./solids.ts";

export interface Viewport {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface EyeDrawing {
  /** 0 is left. */
  readonly eye: 0 | 1;
  readonly viewport: Viewport;
  readonly rendered: EyeView;
  readonly shown: EyeView;
}

export interface Picture {
  readonly image: VideoFrame;
  /** RGBA rows from the top, where they were copied already. */
  readonly pixels: Uint8Array | undefined;
  readonly size: EyeSize;
  /** Of both eyes, as `depthShapeOf` says; without them only the turn of the head is followed. */
  readonly depth: Uint8Array | undefined;
}

export interface DrawnOver {
  /** How much of the local scene is seen, 0..1. */
  readonly fade: number;
  readonly solids: readonly Solid[];
}

export interface PictureRenderer {
  readonly gl: WebGL2RenderingContext;
  /** There is no GPU: each pixel costs CPU time. */
  readonly isSoftware: boolean;
  /** Uploads it; the caller keeps it until the next, for a context that is restored. */
  setPicture(picture: Picture): void;
  /** Counts what was uploaded, again after the context was restored: until it is drawn, the canvas shows another, or nothing. */
  uploads(): number;
  /** False while the context is lost, and once the signal is aborted. */
  draw(framebuffer: WebGLFramebuffer | null, eyes: readonly EyeDrawing[], over: DrawnOver): boolean;
}

/** Where nothing moves by more with the eye's way, following the turn alone shows the same. */
const UNSEEN_PIXELS = 0.25;

const UNIFORMS = [
  ...["homography", "rays", "shift", "fade", "place", "picture", "planes"],
  ...["pictureOrigin", "pictureLimits", "planesOrigin", "planesScale", "planesLimits"],
] as const;
type Uniform = (typeof UNIFORMS)[number];

interface Resources {
  readonly texture: WebGLTexture;
  readonly planes: WebGLTexture;
  /** What the picture's texture has room for. */
  textureSize: { readonly width: number; readonly height: number };
  readonly programs: Map<string, Program<Uniform>>;
  /** Made when there is a solid to draw for the first time. */
  solids?: SolidRenderer;
}

const WITHOUT_WEBGL2 = "the canvas gives no WebGL2: turn hardware acceleration on, or use another browser";

/** Throws `browser-unfit` where there is no WebGL2; a context that is lost later is built again when it is restored. */
export function createPictureRenderer(canvas: HTMLCanvasElement, signal: AbortSignal): PictureRenderer {
  const gl = canvas.getContext("webgl2", { antialias: false, depth: false, alpha: false, xrCompatible: true });
  if (gl === null) throw new ClientFailure("browser-unfit", WITHOUT_WEBGL2);
  let resources: Resources | undefined = build(gl);
  let picture: Picture | undefined;
  let nearestPerMetre = 0;
  let uploads = 0;
  const onLost = (event: Event): void => {
    // Without it the browser would not restore the context.
    event.preventDefault();
    resources = undefined;
  };
  const onRestored = (): void => {
    resources = build(gl);
    uploads += 1;
    if (picture !== undefined && picture.image.format !== null) upload(gl, resources, picture);
  };
  canvas.addEventListener("webglcontextlost", onLost, { signal });
  canvas.addEventListener("webglcontextrestored", onRestored, { signal });
  const letGo = (): void => {
    if (resources !== undefined) remove(gl, resources);
    resources = undefined;
    picture = undefined;
  };
  signal.addEventListener("abort", letGo, { once: true });
  return {
    gl,
    isSoftware: isSoftwareRendered(gl),
    uploads: () => uploads,
    setPicture(next) {
      picture = next;
      nearestPerMetre = nearestOf(next.depth);
      uploads += 1;
      if (resources !== undefined) upload(gl, resources, next);
    },
    draw(framebuffer, eyes, { fade, solids }) {
      if (resources === undefined) return false;
      gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
      bind(gl, resources);
      for (const eye of eyes) drawEye(gl, resources, eye, { picture, nearestPerMetre, fade });
      if (solids.length === 0) return true;
      resources.solids ??= createSolidRenderer(gl);
      // What is hidden by a picture that is not seen any more would be missing.
      resources.solids.draw(solids, eyes, fade > 0 || picture?.depth === undefined ? undefined : picture.size);
      return true;
    },
  };
}

function bind(gl: WebGL2RenderingContext, { texture, planes }: Resources): void {
  gl.activeTexture(gl.TEXTURE1);
  gl.bindTexture(gl.TEXTURE_2D, planes);
  gl.activeTexture(gl.TEXTURE0);
  gl.bindTexture(gl.TEXTURE_2D, texture);
}

interface Drawn {
  readonly picture: Picture | undefined;
  /** The largest inverse depth in the picture. */
  readonly nearestPerMetre: number;
  readonly fade: number;
}

function drawEye(gl: WebGL2RenderingContext, resources: Resources, drawing: EyeDrawing, drawn: Drawn): void {
  const { eye, viewport, rendered, shown } = drawing;
  const { picture, nearestPerMetre, fade } = drawn;
  const shift = shiftOf(rendered, shown);
  const followsDepth = picture !== undefined && pixelsMoved(shift, nearestPerMetre, picture.size) > UNSEEN_PIXELS;
  const { program, at } = programFor(gl, resources, { followsDepth, isStale: fade > 0 });
  gl.useProgram(program);
  gl.viewport(viewport.x, viewport.y, viewport.width, viewport.height);
  gl.uniformMatrix3fv(at("homography"), false, [...homographyOf(rendered, shown)]);
  if (picture !== undefined) setPictureUniforms(gl, at, eye, picture);
  if (followsDepth) {
    const [x, y, z] = [shift.x, shift.y, shift.z].map((part) => part * INVERSE_DEPTH_PER_METRE_MAX);
    gl.uniform3f(at("shift"), x ?? 0, y ?? 0, z ?? 0);
  }
  if (fade > 0) {
    gl.uniform1f(at("fade"), fade);
    gl.uniformMatrix3fv(at("rays"), false, [...raysOf(shown)]);
    gl.uniform3f(at("place"), shown.position.x, shown.position.y, shown.position.z);
  }
  gl.drawArrays(gl.TRIANGLES, 0, 3);
}

/** Zero without planes. */
function nearestOf(depth: Uint8Array | undefined): number {
  let most = 0;
  for (const cell of depth ?? []) most = Math.max(most, cell);
  return (most / 255) * INVERSE_DEPTH_PER_METRE_MAX;
}

/** An eye's own part of picture and planes: what lies beside it is the other eye's. */
function setPictureUniforms(
  gl: WebGL2RenderingContext,
  at: (name: Uniform) => WebGLUniformLocation | null,
  eye: 0 | 1,
  { image, size, depth }: Picture,
): void {
  const left = eye * 0.5;
  const halfTexel = 0.5 / image.displayWidth;
  gl.uniform2f(at("pictureOrigin"), left, 0);
  gl.uniform4f(at("pictureLimits"), left + halfTexel, 0, left + 0.5 - halfTexel, 1);
  if (depth === undefined) return;
  const { origin, scale, limits } = planesAreaOf(size, eye);
  gl.uniform2f(at("planesOrigin"), ...origin);
  gl.uniform2f(at("planesScale"), ...scale);
  gl.uniform4f(at("planesLimits"), ...limits);
}

/** A GPU takes a decoded picture as it is; what was copied is written into a texture that is there. */
function upload(gl: WebGL2RenderingContext, resources: Resources, { image, pixels, size, depth }: Picture): void {
  bind(gl, resources);
  if (pixels === undefined) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
  else {
    const { displayWidth: width, displayHeight: height } = image;
    if (width !== resources.textureSize.width || height !== resources.textureSize.height) {
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
      resources.textureSize = { width, height };
    }
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  }
  if (depth === undefined) return;
  const { columns, rows } = depthShapeOf(size);
  gl.activeTexture(gl.TEXTURE1);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, columns, rows * 2, 0, gl.RED, gl.UNSIGNED_BYTE, depth);
  gl.activeTexture(gl.TEXTURE0);
}

function build(gl: WebGL2RenderingContext): Resources {
  const resources: Resources = {
    ...{ texture: createTexture(gl), planes: createTexture(gl) },
    ...{ textureSize: { width: 0, height: 0 }, programs: new Map() },
  };
  // The one of a head that turns; the others when they are first drawn with.
  programFor(gl, resources, { followsDepth: false, isStale: false });
  return resources;
}

function programFor(gl: WebGL2RenderingContext, { programs }: Resources, drawing: Drawing): Program<Uniform> {
  const key = `${drawing.followsDepth} ${drawing.isStale}`;
  const known = programs.get(key);
  if (known !== undefined) return known;
  const made = linkProgram(gl, { vertex: VERTEX_SHADER, fragment: fragmentShader(drawing) }, UNIFORMS);
  gl.useProgram(made.program);
  gl.uniform1i(made.at("picture"), 0);
  gl.uniform1i(made.at("planes"), 1);
  programs.set(key, made);
  return made;
}

/** The canvas and its context are the page's: another session may have them. */
function remove(gl: WebGL2RenderingContext, { programs, texture, planes, solids }: Resources): void {
  solids?.[Symbol.dispose]();
  for (const each of [texture, planes]) gl.deleteTexture(each);
  for (const { program } of programs.values()) gl.deleteProgram(program);
}

/** Read between its texels' middles linearly, and at its border as there. */
function createTexture(gl: WebGL2RenderingContext): WebGLTexture {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
  }
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
    gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
  }
  return texture;
}

/** What draws without a GPU says so by its name (SwiftShader, llvmpipe, Microsoft Basic Render Driver). */
function isSoftwareRendered(gl: WebGL2RenderingContext): boolean {
  const extension = gl.getExtension("WEBGL_debug_renderer_info");
  const name: unknown = gl.getParameter(extension?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
  return /swiftshader|llvmpipe|software|basic render/i.test(String(name));
}

/** Draws the newest decoded picture into a WebGL2 context, each eye reprojected to where the head is now. */
import { type EyeDirection, reprojectionMatrix } from "./reprojection.ts";
import { FRAGMENT_SHADER, VERTEX_SHADER } from "./shader.ts";

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
  readonly rendered: EyeDirection;
  readonly shown: EyeDirection;
}

export interface PictureRenderer {
  readonly gl: WebGL2RenderingContext;
  /** Uploads it; the caller keeps it until the next, for a context that is restored. */
  setPicture(picture: VideoFrame): void;
  /** False while the context is lost. */
  draw(framebuffer: WebGLFramebuffer | null, eyes: readonly EyeDrawing[]): boolean;
}

type Uniform = "shown" | "rendered" | "turn" | "eye" | "halfTexel";

interface Resources {
  readonly program: WebGLProgram;
  readonly texture: WebGLTexture;
  readonly uniforms: Readonly<Record<Uniform, WebGLUniformLocation | null>>;
}

/** Throws where the browser has no WebGL2; a context that is lost later is built again when it is restored. */
export function createPictureRenderer(canvas: HTMLCanvasElement): PictureRenderer {
  const gl = canvas.getContext("webgl2", { antialias: false, depth: false, alpha: false, xrCompatible: true });
  if (gl === null) throw new TypeError("this browser has no WebGL2: turn hardware acceleration on, or use another");
  let resources: Resources | undefined = build(gl);
  let picture: VideoFrame | undefined;
  canvas.addEventListener("webglcontextlost", (event) => {
    // Without it the browser would not restore the context.
    event.preventDefault();
    resources = undefined;
  });
  canvas.addEventListener("webglcontextrestored", () => {
    resources = build(gl);
    if (picture !== undefined && picture.format !== null) upload(gl, resources, picture);
  });
  return {
    gl,
    setPicture(next) {
      picture = next;
      if (resources !== undefined) upload(gl, resources, next);
    },
    draw(framebuffer, eyes) {
      if (resources === undefined) return false;
      gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
      gl.useProgram(resources.program);
      gl.bindTexture(gl.TEXTURE_2D, resources.texture);
      const halfTexel = picture === undefined ? 0 : 1 / picture.displayWidth;
      for (const eye of eyes) drawEye(gl, resources, eye, halfTexel);
      return true;
    },
  };
}

function drawEye(gl: WebGL2RenderingContext, { uniforms }: Resources, drawing: EyeDrawing, halfTexel: number): void {
  const { eye, viewport, rendered, shown } = drawing;
  gl.viewport(viewport.x, viewport.y, viewport.width, viewport.height);
  gl.uniform4fv(uniforms.shown, tangents(shown));
  gl.uniform4fv(uniforms.rendered, tangents(rendered));
  gl.uniformMatrix3fv(uniforms.turn, false, [...reprojectionMatrix(rendered.orientation, shown.orientation)]);
  gl.uniform1f(uniforms.eye, eye);
  gl.uniform1f(uniforms.halfTexel, halfTexel);
  gl.drawArrays(gl.TRIANGLES, 0, 3);
}

function tangents({ fieldOfView: { left, right, up, down } }: EyeDirection): number[] {
  return [left, right, up, down];
}

function upload(gl: WebGL2RenderingContext, { texture }: Resources, picture: VideoFrame): void {
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
}

function build(gl: WebGL2RenderingContext): Resources {
  const program = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, VERTEX_SHADER],
    [gl.FRAGMENT_SHADER, FRAGMENT_SHADER],
  ] as const) {
    const shader = gl.createShader(type);
    if (shader === null) throw new TypeError("WebGL2 made no shader: its context is lost");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (gl.getProgramParameter(program, gl.LINK_STATUS) !== true && !gl.isContextLost()) {
    throw new TypeError(`the display's shader does not link: ${gl.getProgramInfoLog(program)}`);
  }
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
    gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
  }
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
    gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
  }
  const at = (name: Uniform): WebGLUniformLocation | null => gl.getUniformLocation(program, name);
  const uniforms = {
    shown: at("shown"),
    rendered: at("rendered"),
    turn: at("turn"),
    eye: at("eye"),
    halfTexel: at("halfTexel"),
  };
  return { program, texture, uniforms };
}

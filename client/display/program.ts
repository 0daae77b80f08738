/** Programs of WebGL2 with the places of their uniforms. */

export interface Program<Uniform extends string> {
  readonly program: WebGLProgram;
  /** One that the program has no use for is not in it: `null`, and what is set there is not set. */
  readonly at: (name: Uniform) => WebGLUniformLocation | null;
}

export interface ProgramSources {
  readonly vertex: string;
  readonly fragment: string;
}

/** Throws where the shaders do not link, which is a bug, unless the context is lost. */
export function linkProgram<Uniform extends string>(
  gl: WebGL2RenderingContext,
  { vertex, fragment }: ProgramSources,
  names: readonly Uniform[],
): Program<Uniform> {
  const program = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(type);
    if (shader === null) throw new TypeError("WebGL2 made no shader: its context is lost");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    // It goes with its program.
    gl.deleteShader(shader);
  }
  gl.linkProgram(program);
  if (gl.getProgramParameter(program, gl.LINK_STATUS) !== true && !gl.isContextLost()) {
    throw new TypeError(`the display's shader does not link: ${gl.getProgramInfoLog(program)}`);
  }
  const uniforms = new Map(names.map((name) => [name, gl.getUniformLocation(program, name)]));
  return { program, at: (name) => uniforms.get(name) ?? null };
}

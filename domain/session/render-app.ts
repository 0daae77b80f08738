/** A scene that can be rendered for VR clients, and what a session of it needs. Pure. */

export interface RenderClass {
  readonly name: string;
  readonly eyeWidthPixels: number;
  readonly eyeHeightPixels: number;
  readonly frameRateHz: number;
}

export interface RenderAppSpec {
  /** The scene bundle: a file of a published site's current release; `app.js` beside it, where there is one, moves it. */
  readonly bundle: { readonly site: string; readonly path: string };
  readonly needs: {
    readonly gpuShareRatio: number;
    readonly encoderSessions: number;
    readonly memoryBytes: number;
    readonly egressBitsPerSecond: number;
  };
  /** In order of preference; a degraded session gets a later one. */
  readonly classes: readonly RenderClass[];
}

/** The sound of a session's scene, or why there is none; and what to say of that at an agent's start. */
import { isFailure } from "#domain/failure.ts";
import type { Scene } from "../renderer/scene.ts";
import { openOpusEncoder } from "./opus-encoder.ts";
import { makeSounds } from "./scene-sounds.ts";
import { SessionSound, type SoundPorts } from "./session-sound.ts";
import { initialSoundState } from "./sound-state.ts";

export type OpenedSound =
  | { readonly sound: SessionSound; readonly silentBecause: "" }
  | { readonly sound: undefined; readonly silentBecause: string };

/** Throws `scene-invalid` for sounds that cannot be made. */
export async function openSound(scene: Scene, ports: Omit<SoundPorts, "sounds" | "encoder">): Promise<OpenedSound> {
  const { sounds = [] } = scene;
  if (sounds.length === 0) return { sound: undefined, silentBecause: "the scene has no sounds" };
  const made = makeSounds(sounds);
  const encoder = await tryEncoder();
  if (typeof encoder === "string") return { sound: undefined, silentBecause: `no sound here: ${encoder}` };
  const sound = new SessionSound({ ...ports, sounds: made, encoder });
  sound.apply(initialSoundState(sounds));
  return { sound, silentBecause: "" };
}

/** Nothing where sound can be encoded here. */
export async function adviseOnSound(): Promise<readonly string[]> {
  const encoder = await tryEncoder();
  if (typeof encoder === "string") return [`sessions have no sound: ${encoder}`];
  encoder[Symbol.dispose]();
  return [];
}

/** Why there is none, where there is none. */
async function tryEncoder() {
  try {
    return await openOpusEncoder();
  } catch (error) {
    if (isFailure(error, "encoder-unavailable")) return error.message;
    throw error;
  }
}

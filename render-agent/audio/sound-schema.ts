/** Sounds as a scene has them. Pure. */
import Type, { type Static } from "typebox";
import { POSITION_METRES_MAX } from "#contracts/media/space.ts";

/** Voices that are mixed at once: each costs some microseconds a block. */
export const SOUNDS_MAX = 32;
/** Four times as loud as the file or tone is by itself: 12 dB. */
export const GAIN_MAX = 4;
/** A second of 48 kHz is 96 KB in memory. */
const SYNTHESIS_SECONDS_MAX = 10;
/** A path, or base64 of what is inline. */
const FILE_CHARACTERS_MAX = 12 * 1024 * 1024;

const closed = { additionalProperties: false };
const metres = Type.Number({ minimum: -POSITION_METRES_MAX, maximum: POSITION_METRES_MAX });
const seconds = Type.Number({ minimum: 0.01, maximum: SYNTHESIS_SECONDS_MAX });

export const soundSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 63 }),
    /** One of the three. */
    tone: Type.Optional(
      Type.Object(
        {
          hertz: Type.Number({ minimum: 20, maximum: 20_000 }),
          seconds: Type.Optional(seconds),
          /** It falls to a third in each of these; without it, it stays as loud. */
          decaySeconds: Type.Optional(seconds),
        },
        closed,
      ),
    ),
    noise: Type.Optional(
      Type.Object({ seconds: Type.Optional(seconds), decaySeconds: Type.Optional(seconds) }, closed),
    ),
    file: Type.Optional(Type.String({ minLength: 1, maxLength: FILE_CHARACTERS_MAX })),
    position: Type.Tuple([metres, metres, metres], { default: [0, 0, 0] }),
    gain: Type.Number({ minimum: 0, maximum: GAIN_MAX, default: 1 }),
    loop: Type.Boolean({ default: false }),
    /** From the scene's start; an app may start it at any time. */
    plays: Type.Boolean({ default: false }),
  },
  closed,
);

export type SceneSound = Static<typeof soundSchema>;

import { InputError } from '../src/errors.ts';

/** What a frozen encoder gives: features of faces, frames, audio clips or a picture. */
export type FeatureName = 'face' | 'frame' | 'audio' | 'image';
/** What a placeholder of the prompt stands for; `multi` is the fusion of a visual source with audio. */
export type SlotName = FeatureName | 'multi';

export interface InputMode {
  /** Features that have to be there, also where only the pre-fusion reads them. */
  readonly needs: readonly FeatureName[];
  /** Placeholders in reading order. */
  readonly slots: readonly SlotName[];
  /** What the pre-fusion combines with audio; null without pre-fusion. */
  readonly fused: 'face' | 'frame' | null;
}

const mode = (
  needs: readonly FeatureName[],
  slots: readonly SlotName[],
  fused: 'face' | 'frame' | null = null,
): InputMode => ({ needs, slots, fused });

/** The published values of `face_or_frame` (`model.inputs`). */
export const inputModes = {
  multiface_audio_face_text: mode(['face', 'audio'], ['multi', 'audio', 'face'], 'face'),
  multiframe_audio_frame_text: mode(['frame', 'audio'], ['multi', 'audio', 'frame'], 'frame'),
  multiface_audio_face_frame_text: mode(
    ['face', 'frame', 'audio'],
    ['multi', 'audio', 'face', 'frame'],
    'face',
  ),
  multiface_text: mode(['face', 'audio'], ['multi'], 'face'),
  face: mode(['face', 'audio'], ['audio', 'face']),
  frame: mode(['frame', 'audio'], ['audio', 'frame']),
  faceframe: mode(['face', 'frame', 'audio'], ['audio', 'frame', 'face']),
  audioonly: mode(['audio'], ['audio']),
  textonly: mode([], []),
  faceonly: mode(['face'], ['face']),
  frameonly: mode(['frame'], ['frame']),
  image: mode(['image'], ['image']),
  audio_text: mode(['audio'], ['audio']),
  face_text: mode(['face'], ['face']),
  frame_text: mode(['frame'], ['frame']),
} satisfies Record<string, InputMode>;

export type InputModeName = keyof typeof inputModes;

/** @throws InputError `INPUT_MODE_UNKNOWN` */
export function inputMode(name: string): InputMode {
  if (!Object.hasOwn(inputModes, name)) {
    throw new InputError(
      'INPUT_MODE_UNKNOWN',
      `model.inputs is "${name}"; known are ${Object.keys(inputModes).join(', ')}.`,
    );
  }
  return inputModes[name as InputModeName];
}

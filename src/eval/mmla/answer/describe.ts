import type { MmlaPromptPreset } from '../../../data/mmla/prompts.ts';
import type { JsonValue } from '../../../io/json.ts';
import type { MmlaAnswerer } from './answerer.ts';

/** Hexadecimal digits of a hash that are enough for people. */
const shownDigits = 12;

/**
 * Where answers come from, in one line: `checkpoint step-000120 (sha256 0f3c…), prompt fixed, maxNewTokens 128, temperature 0`.
 * All of it stands in the settings beside the answers.
 */
export function describeAnswers({ title, settings }: MmlaAnswerer, preset: MmlaPromptPreset): string {
  const { kind, checkpoint, weights, url, frames, system, decoding } = settings;
  const hash = (value: JsonValue | undefined): string => `sha256 ${String(value).slice(0, shownDigits)}`;
  const who =
    kind === 'run'
      ? `checkpoint ${title} (${hash((checkpoint as { sha256: string }).sha256)})`
      : kind === 'decoder'
        ? `${title} (${hash(weights)})`
        : `${title} at ${url}`;
  const asked = [
    `prompt ${preset}`,
    ...(typeof system === 'string' ? [`system ${JSON.stringify(system)}`] : []),
    ...(typeof frames === 'number' ? [frames === 0 ? 'text alone' : `${frames} frames`] : []),
    ...Object.entries(decoding as Record<string, JsonValue>).map(([name, value]) => `${name} ${value}`),
  ];
  return [who, ...asked].join(', ');
}

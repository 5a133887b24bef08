import type { ImagePreprocessing } from '../../encoders/image-preprocessing.ts';
import type { WaveformPreprocessing } from '../../encoders/waveform-preprocessing.ts';
import type { Config } from '../config/schema.ts';
import { clipCount, clipSamples, sampleRate } from '../data/media/audio.ts';
import { frameSize, scalerFlags } from '../data/media/frames.ts';
import type { PromptTokenizer } from '../data/tokenizer.ts';
import type { ExportDescription } from './manifest.ts';

/** `generation_config.json`, in the keys of Hugging Face. */
export function generationConfig(config: Config, tokenizer: PromptTokenizer): Record<string, unknown> {
  const { temperature, topP, topK, maxNewTokens } = config.generation;
  const isSampled = temperature > 0;
  return {
    bos_token_id: tokenizer.bosId ?? null,
    eos_token_id: tokenizer.endIds,
    pad_token_id: tokenizer.padId,
    do_sample: isSampled,
    ...(isSampled && { temperature, top_p: topP, ...(topK !== null && { top_k: topK }) }),
    max_new_tokens: maxNewTokens,
    repetition_penalty: 1,
  };
}

/**
 * `preprocessor_config.json`: what has to be done before the graphs, and, for readers, what the graphs do by themselves.
 */
export function preprocessorConfig(
  config: Config,
  visual: ImagePreprocessing | undefined,
  audio: WaveformPreprocessing | undefined,
): Record<string, unknown> {
  const { audioTail, audioMeanRemoval, audioNormalisation, faceColorOrder } = config.compat;
  return {
    ...(visual && {
      vision: {
        before: {
          frames: config.model.frames,
          choice: 'floor(min(i, n - 1) * (count / n)) for i = 0 .. frames - 1, with n = min(frames, count)',
          height: frameSize,
          width: frameSize,
          scaling: `bicubic, aspect ratio not kept (ffmpeg: -sws_flags ${scalerFlags})`,
          frameColors: 'rgb',
          faceColors: faceColorOrder,
          layout: 'uint8 [frames, height, width, 3]',
        },
        inGraph: visual,
      },
    }),
    ...(audio && {
      audio: {
        before: {
          samplingRate: sampleRate,
          channels: 'their mean',
          layout: 'float32 [length], usually in -1 to 1',
        },
        inGraph: {
          clips: clipCount,
          clipSamples,
          starts: `floor(${sampleRate} * k * F / ${audioTail === 'div8' ? clipCount : clipCount - 1}) for k = 0 .. ${clipCount - 1}, F the exact value of the double max(length / ${sampleRate} - 2, 0)`,
          shortRecordings: 'filled up with zeros',
          meanRemoval: audioMeanRemoval,
          normalisation: audio.doNormalize
            ? `zero mean and unit variance over a ${audioNormalisation}`
            : 'none',
        },
      },
    }),
  };
}

/** `README.md` of an exported folder. */
export function readmeText({ graphs, inputs, precision, adapter, generation }: ExportDescription): string {
  const features = inputs.features.map((kind) => `\`${kind}\``).join(', ');
  const steps = [
    graphs.vision &&
      `\`${graphs.vision.file}\`: \`frames\` uint8 [${inputs.frames}, height, width, 3] -> \`features\`. Which frames, and how they are scaled: \`vision.before\` in \`preprocessor_config.json\`. Resizing, cropping and normalising are in the graph.`,
    graphs.audio &&
      `\`${graphs.audio.file}\`: \`samples\` float32 [length], 16 kHz mono -> \`features\`. Cutting into clips and normalising are in the graph.`,
    graphs.fusion &&
      `\`${graphs.fusion.file}\`: ${features}, each with a batch axis in front -> \`vectors\`, those of one sample after those of the other.`,
    'Prompt: join `prompt.segments` of `manifest.json`, encode with `tokenizer.json` without special tokens, put `prompt.startToken` in front.',
    `\`${graphs.decoder.file}\`: the whole prompt at once with ${graphs.fusion ? '`vectors` and ' : ''}an empty cache (\`past_key_values.*\` of length 0) -> \`logits\` and \`present.*\`. Then token after token: \`present.*\` goes back in as \`past_key_values.*\`${graphs.fusion ? ', and `vectors` may have length 0' : ''}. Positions count from 0 at the first token of a prompt; batches are padded on the left, with 0 in \`attention_mask\`, which covers past and new tokens. \`num_logits_to_keep\` says of how many last tokens scores are wanted (0: all).`,
    `The most likely token every time${generation.temperature > 0 ? ' (or drawn, as `generation` says)' : ''}, until a sequence of \`generation.stopSequences\` or \`generation.maxNewTokens\`. Text: \`generation.answer\`.`,
  ].filter((step) => step !== undefined);
  const kept =
    adapter === null
      ? ''
      : `\nThe decoder takes the tensors of \`${adapter.file}\` as further inputs, under their names; another adapter of the same shapes can take their place.\n`;
  return `# An AffectGPT-style model as ONNX

Written by \`affectgpt export onnx\`; weights in ${precision}. Needs ONNX Runtime and a reader of Hugging Face tokenizers, nothing else.

${steps.map((step, i) => `${i + 1}. ${step}`).join('\n')}
${kept}
\`manifest.json\` has names, types and shapes of everything, checksums, and what was compared with the trained model.
`;
}

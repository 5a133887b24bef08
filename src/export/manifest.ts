import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../errors.ts';
import { readText } from '../io/filesystem.ts';

/** Version of the layout of an exported folder. */
export const exportFormatVersion = 1;

export const manifestFile = 'manifest.json';

export const precisions = ['fp32', 'fp16', 'int8', 'int4'] as const;
export type Precision = (typeof precisions)[number];

const count = () => z.int().min(0);
const tokenId = () => z.int().min(0);

const value = z.strictObject({
  name: z.string(),
  dtype: z.string().describe('As in ONNX: `float32`, `int64`, `uint8`.'),
  shape: z
    .array(z.union([z.int(), z.string()]))
    .describe('A name stands for a size that may differ from call to call.'),
});

const graph = z.strictObject({
  file: z.string(),
  data: z
    .string()
    .nullable()
    .describe(
      'External data beside it, which ONNX Runtime opens by itself (in the browser: hand it over as `externalData`).',
    ),
  inputs: z.array(value),
  outputs: z.array(value),
});

const slotNames = ['multi', 'audio', 'face', 'frame', 'image'] as const;
const featureNames = ['audio', 'face', 'frame', 'image'] as const;

const segment = z.union([
  z.strictObject({ text: z.string() }).describe('Stands as it is.'),
  z
    .strictObject({ field: z.enum(['subtitle', 'question']) })
    .describe('What was said (empty where nothing is known), or what is asked.'),
  z
    .strictObject({ placeholder: z.string(), slot: z.enum(slotNames), tokens: count(), id: tokenId() })
    .describe('The placeholder is written `tokens` times in a row; each becomes the token `id`.'),
]);

const prompt = z.strictObject({
  segments: z
    .array(segment)
    .describe(
      'Joined they are the prompt. It is encoded as a whole, without special tokens around it; subtitle and question must not spell a placeholder.',
    ),
  startToken: tokenId().nullable().describe('Stands before the encoded prompt; null for none.'),
  question: z.string().describe('What `affectgpt predict` asks where nobody says what.'),
  maxTokens: count().describe('Positions that the language model knows, for prompt and answer together.'),
});

const answer = z.strictObject({
  decode: z
    .literal('all')
    .describe(
      'The generated tokens are decoded with special tokens left in, then cut as follows, in this order.',
    ),
  startText: z
    .string()
    .nullable()
    .describe('Where the text contains it: what stands between its first and its second occurrence.'),
  endTexts: z.array(z.string()).describe('What stands before the first occurrence of each.'),
  stopText: z.string().nullable().describe('What stands before it; null cuts nothing.'),
  stopAt: z.enum(['first', 'last']).describe('Which occurrence of `stopText` cuts.'),
  afterText: z.string().nullable().describe('What stands after the last occurrence; null cuts nothing.'),
});

const generation = z.strictObject({
  maxNewTokens: count().describe('Longest answer in tokens.'),
  stopSequences: z
    .array(z.array(tokenId()))
    .describe('Token sequences; any of them at the end of what was generated ends the answer.'),
  temperature: z.number().describe('0 always takes the most likely token, the first of equals.'),
  topP: z.number(),
  topK: z.int().nullable(),
  repetitionPenalty: z.literal(1).describe('1: none.'),
  answer: answer.describe('How the text of the answer is made of the tokens. White space around it goes.'),
});

const decoder = z.strictObject({
  layers: count(),
  keyValueHeads: count(),
  headDim: count(),
  hiddenSize: count(),
  vocabSize: count(),
});

const adapter = z.strictObject({
  file: z.string().describe("PEFT's tensors; each is an input of the decoder under its name."),
  config: z.string(),
});

const parity = z.strictObject({
  samples: z.array(z.string()).describe('Names of the samples that were asked about.'),
  question: z.string(),
  tokens: count().describe('Positions compared: every token of the prompts and every generated one.'),
  maxAbsFeatureDifference: z
    .number()
    .nullable()
    .describe("Features of the exported encoders against the engine's."),
  maxAbsLogitDifference: z
    .number()
    .describe('Scores of the exported graphs, in onnxruntime on the CPU, against the training engine.'),
  logitBound: z.number().nullable().describe('What that may be; null where only answers are bounded.'),
  tokenAgreement: z
    .number()
    .describe(
      'Share of generated tokens that are also the most likely of the exported graphs after the same tokens.',
    ),
  agreementBound: z.number().describe('What that has to be at least.'),
  equalAnswers: count().describe('Samples whose greedy answer is the same token for token.'),
  engine: z.string(),
  onnxruntime: z.string(),
});

const fileEntry = z.strictObject({ bytes: count(), sha256: z.string() });

/** `manifest.json` of an exported folder: all that a program needs to run it. */
export const manifestSchema = z.strictObject({
  format: z.literal('affectgpt-onnx'),
  version: z.literal(exportFormatVersion),
  affectgpt: z.string().describe('Version of the program that wrote it.'),
  source: z
    .strictObject({
      checkpoint: z.string().describe('Name of the checkpoint folder.'),
      step: count(),
      configHash: z.string(),
      files: z.record(z.string(), z.string()).describe("SHA-256 of the checkpoint's tensor files."),
      models: z.record(z.string(), z.string()).describe("What the run's configuration names."),
    })
    .describe('What was exported.'),
  precision: z.enum(precisions).describe('Number format of the stored weights.'),
  arithmetic: z.string().describe('What the graphs compute in.'),
  opset: z.int(),
  operatorSets: z.record(z.string(), z.int()).describe('Every operator set that a graph uses.'),
  graphs: z
    .strictObject({
      vision: graph.optional().describe('Absent where the inputs have no pictures.'),
      audio: graph.optional().describe('Absent where the inputs have no sound.'),
      fusion: graph.optional().describe('Absent where the prompt has no placeholders.'),
      decoder: graph,
    })
    .describe('The ONNX files.'),
  adapter: adapter.nullable().describe('Null where there is none, or where it is merged into the weights.'),
  inputs: z.strictObject({
    mode: z.string().describe('`model.inputs` of the run.'),
    features: z
      .array(z.enum(featureNames))
      .describe(
        'What the fusion takes; `audio` comes out of the audio graph, all others out of the vision graph.',
      ),
    frames: count().describe('Frames or faces of a clip.'),
  }),
  prompt,
  generation,
  decoder,
  parity: parity.describe('What the export compared before the folder was put in place.'),
  files: z.record(z.string(), fileEntry).describe('Every other file of the folder.'),
});

export type Manifest = z.infer<typeof manifestSchema>;
/** What it takes to run the folder: all but what is known only after it was run. */
export type ExportDescription = Omit<Manifest, 'parity' | 'files'>;
export type GraphEntry = z.infer<typeof graph>;
export type ParityResult = z.infer<typeof parity>;
export type PromptSegment = z.infer<typeof segment>;

/**
 * Reads the manifest of an exported folder.
 * @throws InputError `EXPORT_INVALID`, and those of `fileError`
 */
export async function readExportManifest(folder: string): Promise<Manifest> {
  const file = join(folder, manifestFile);
  const text = await readText(file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new InputError('EXPORT_INVALID', `${file} is not JSON: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new InputError(
    'EXPORT_INVALID',
    `${file} does not describe a folder of "affectgpt export onnx", version ${exportFormatVersion}: ${faults.join('; ')}.`,
  );
}

import { fromPeftName } from '../../lora/names.ts';
import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { firstOf, InputError } from '../errors.ts';
import type { SafetensorsEntry } from '../io/safetensors.ts';
import type { TrainableShapes } from '../runtime/generator.ts';

/** Mismatches named in one message. */
const faultsShown = 50;

/** Buffers that torch saves beside the weights: counted positions and rotary frequencies, which are computed here. */
const buffer = /(^|\.)(position_ids|num_batches_tracked|rotary_emb\.inv_freq)$/;

/** Where they are tied, the published code takes the frozen embeddings under their second name for something trained. */
const tiedOutput = 'llama_model.base_model.model.lm_head.weight';

/** Published modules that read pictures, and those that read sound; the pre-fusion reads both. */
const visualModules = /^(image_llama_proj|affectgpt_proj|video_\w+)(\.|$)/;
const audioModules = /^(audio_\w+)(\.|$)/;
const fusedModules = /^(multi_\w+|attention_mlp|fc_att)(\.|$)/;

/**
 * Why a tensor of the file has no place in the model although nothing is wrong with it; undefined where that is not so.
 * The published code builds every branch, whatever the inputs; here those of missing modalities are not there.
 */
function reasonToLeaveOut(name: string, { fusion, decoder }: AffectGptConfig): string | undefined {
  if (buffer.test(name)) return 'buffers that are computed here';
  if (name === tiedOutput && decoder.tieWordEmbeddings) {
    return "the language model's output weights, which are its embeddings and come with it";
  }
  const noPictures = fusion.visualSize === null;
  const noSound = fusion.audioSize === null;
  const isUnused =
    (noPictures && visualModules.test(name)) ||
    (noSound && audioModules.test(name)) ||
    ((noPictures || noSound) && fusedModules.test(name));
  return isUnused ? 'branches that model.inputs does not use' : undefined;
}

/** Where a decoder is trained as a whole, its tensors have their own names. */
const decoderModules = /^(model|lm_head)\./;

/**
 * Looks whether a file can be one of this model at all, which needs no models: whether any of its tensors has such a name.
 * @throws InputError `IMPORT_NO_MODEL`
 */
export function checkNames(file: string, found: ReadonlyMap<string, SafetensorsEntry>): void {
  const modules = [decoderModules, visualModules, audioModules, fusedModules];
  const names = [...found.keys()];
  if (names.some((name) => fromPeftName(name) !== null || modules.some((one) => one.test(name)))) return;
  const shown = names.slice(0, 5).join(', ') + (names.length > 5 ? ', …' : '');
  throw new InputError(
    'IMPORT_NO_MODEL',
    `${file} is of another model: none of its ${names.length} tensors has a name of AffectGPT's or of an adapter (${shown || 'there are none'}). Give a checkpoint file of the published code (.pth), or a folder with a PEFT adapter.`,
  );
}

export interface MatchedTensors {
  /** The model's trainable tensors, by our names. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** Names in the file that are not taken over, by the reason. */
  readonly leftOut: ReadonlyMap<string, readonly string[]>;
}

/**
 * Finds the model's trainable tensors among those of a file, whose names may be ours, PEFT's or the published ones.
 *
 * @param found by the names of the file
 * @param expected shapes of the trainable tensors
 * @throws InputError `IMPORT_MISMATCH` with every missing, unexpected, wrongly shaped and wrongly typed tensor
 */
export function matchTensors(
  file: string,
  found: ReadonlyMap<string, SafetensorsEntry>,
  expected: TrainableShapes,
  model: AffectGptConfig,
): MatchedTensors {
  const tensors = new Map<string, SafetensorsEntry>();
  const leftOut = new Map<string, string[]>();
  const faults: string[] = [];
  for (const [stored, entry] of found) {
    const name = fromPeftName(stored) ?? stored;
    const shape = Object.hasOwn(expected, name) ? expected[name] : undefined;
    const reason = shape === undefined ? reasonToLeaveOut(stored, model) : undefined;
    if (reason !== undefined) leftOut.set(reason, [...(leftOut.get(reason) ?? []), stored]);
    else if (shape === undefined) faults.push(`unexpected: ${stored} [${entry.shape.join(', ')}]`);
    else if (tensors.has(name)) faults.push(`twice: ${stored} is also there under another name`);
    else if (entry.shape.join() !== shape.join()) {
      faults.push(
        `wrong shape: ${stored} is [${entry.shape.join(', ')}], the model has [${shape.join(', ')}]`,
      );
      tensors.set(name, entry);
    } else if (!['F32', 'F16', 'BF16', 'F64'].includes(entry.dtype)) {
      faults.push(`wrong type: ${stored} is ${entry.dtype}, floating-point numbers are expected`);
      tensors.set(name, entry);
    } else tensors.set(name, entry);
  }
  for (const [name, shape] of Object.entries(expected)) {
    if (!tensors.has(name)) faults.push(`missing: ${name} [${shape.join(', ')}]`);
  }
  if (faults.length > 0) {
    throw new InputError(
      'IMPORT_MISMATCH',
      `The tensors of ${file} do not fit the model of the configuration. Give the one it was trained with (--config, --set; affectgpt config show prints one).\n  - ${firstOf(faults, faultsShown, '\n  - ')}`,
    );
  }
  return { tensors, leftOut };
}

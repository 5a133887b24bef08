import { InputError } from '../../src/errors.ts';
import { verifyChecksums } from '../../train/checkpoint-checksums.ts';

/** Files that every checkpoint of these tests has. */
const names = [
  'adapter_model.safetensors',
  'adapter_config.json',
  'affectgpt.safetensors',
  'optimizer.safetensors',
  'state.json',
];

/** What is wrong with a folder that looks like a checkpoint, or undefined. */
export async function checkCheckpointFiles(folder: string): Promise<string | undefined> {
  try {
    await verifyChecksums(folder, { required: names, optional: [] });
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

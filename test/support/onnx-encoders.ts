import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Encoder } from '../../encoders/encoder.ts';
import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import { emitOnnx, outputPrefix } from '../../src/engine/onnxruntime/emitter.ts';
import { encodeModel, type OnnxGraph } from '../../src/engine/onnxruntime/model-file.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import type { HostTensor } from '../../src/engine/types.ts';
import { readFloat32 } from '../../src/io/safetensors.ts';
import { openEncoder } from '../../src/runtime/pretrained.ts';

/** Writes a file, and its folder where that is not there. */
export async function place(file: string, content: string | Uint8Array): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  return file;
}

export const writeOnnx = (file: string, graph: OnnxGraph): Promise<string> => place(file, encodeModel(graph));

/**
 * Writes an encoder of the registry as an ONNX file, as a user's exporter would.
 * @returns the names that it has for its input and its features
 */
export async function exportEncoder(
  type: string,
  folder: string,
  modality: Encoder['modality'],
  file: string,
): Promise<{ readonly input: string; readonly output: string }> {
  const { encoder, weights: stored } = await openEncoder(type, folder, modality);
  const weights: Record<string, HostTensor> = {};
  for (const [name, source] of Object.entries(stored)) {
    if ('dtype' in source) weights[name] = source;
    else {
      const data = await readFloat32({ ...source, name, dtype: source.storage });
      weights[name] = { dtype: 'float32', shape: source.shape, data };
    }
  }
  const graph = traceSymbolic(
    ({ inputs, weights: tensors }) => ({
      outputs: { features: encoder.forward(new Parameters(tensors), inputs).features },
    }),
    { name: type, inputs: encoder.inputs, weights },
  );
  await place(file, emitOnnx(optimize(graph), weights));
  return { input: Object.keys(encoder.inputs)[0]!, output: `${outputPrefix}features` };
}

import * as ort from 'onnxruntime-node';
import { Emitter } from '../../src/engine/onnxruntime/emitter.ts';
import { encodeModel, type OnnxValueInfo } from '../../src/engine/onnxruntime/model-file.ts';

/** A hand-written piece of an exported graph, ready to run by itself. */
export async function openProgram(
  inputs: readonly OnnxValueInfo[],
  output: Pick<OnnxValueInfo, 'type' | 'shape'>,
  write: (emitter: Emitter) => string,
): Promise<(feeds: Record<string, ort.Tensor>) => Promise<ort.Tensor>> {
  const emitter = new Emitter({
    name: 'program',
    values: [],
    nodes: [],
    inputs: new Map(),
    weights: new Map(),
    constants: new Map(),
    outputs: new Map(),
  });
  const result = write(emitter);
  const model = encodeModel({
    name: 'program',
    nodes: [...emitter.nodes, { op: 'Identity', inputs: [result], outputs: ['result'] }],
    initializers: emitter.initializers,
    inputs,
    outputs: [{ name: 'result', ...output }],
  });
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
  return async (feeds) => (await session.run(feeds)).result!;
}

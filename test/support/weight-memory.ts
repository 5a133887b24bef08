import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { OnnxruntimeEngine } from '../../src/engine/onnxruntime/engine.ts';
import type { HostTensor, WeightSource } from '../../src/engine/types.ts';

/**
 * Run as a process of its own: prints by how many megabytes products that use each of their frozen weights twice, as
 * training does, raise the peak of its memory.
 * Arguments: an empty folder; `leanBytes` of the engine.
 */
const [folder, leanBytes] = process.argv.slice(2) as [string, string];
const [count, size] = [12, 2048];

const peak = () => process.resourceUsage().maxRSS / 1024;
const file = path.join(folder, 'weights');
const bytes = size * size * 2;
const stored = new Uint16Array(size * size).fill(0x3a83); // 0.001 in bf16.
await writeFile(
  file,
  (function* () {
    for (let i = 0; i < count; i++) yield new Uint8Array(stored.buffer);
  })(),
);
const weights = Object.fromEntries(
  Array.from({ length: count }, (_, i): [string, WeightSource] => [
    `w${i}`,
    { storage: 'BF16', shape: [size, size], file, begin: i * bytes, end: (i + 1) * bytes },
  ]),
);
const x: HostTensor = { dtype: 'float32', shape: [8, size], data: new Float32Array(8 * size).fill(1) };
const engine = new OnnxruntimeEngine({ threads: 1, leanBytes: Number(leanBytes) });
const before = peak();
const compiled = await engine.compile(
  ({ inputs, weights: frozen }) => {
    let y = inputs.x!;
    for (const weight of Object.values(frozen)) {
      y = tf.matMul(tf.tanh(tf.matMul(y, weight, false, true)), weight);
    }
    return { outputs: { y } };
  },
  { name: 'products', inputs: { x: { dtype: 'float32', shape: ['rows', size] } }, weights },
);
for (let i = 0; i < 3; i++) await compiled.run({ x });
process.stdout.write(
  JSON.stringify({ raised: peak() - before, weights: (count * size * size * 4) / 2 ** 20 }),
);

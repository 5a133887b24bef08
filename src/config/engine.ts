import { z } from 'zod';
import { count, text } from './values.ts';

/** What computes, and on what. */
export const engineSchema = z.strictObject({
  type: z
    .enum(['auto', 'onnxruntime', 'xla', 'openvino', 'wasm', 'cpu', 'tensorflow'])
    .default('auto')
    .describe(
      'What computes: `onnxruntime` (compiled graph), `xla` (compiled graph, run by a PJRT plugin of XLA; needs `affectgpt engine install xla-cpu` and the optional package `koffi`), `openvino` (compiled graph, bf16 on processors that have it; needs `affectgpt engine install openvino` and `koffi`), `wasm` and `cpu` (eager, slow, for comparison), or `tensorflow` (eager; needs `affectgpt engine install tensorflow`). `auto` takes `onnxruntime`.',
    ),
  precision: z
    .enum(['auto', 'fp32', 'bf16'])
    .default('auto')
    .describe(
      'Number format of the arithmetic: `fp32`, or `bf16` (products of bfloat16 with sums in float32; norms, softmax, loss and optimizer in float32), which needs `xla` or `openvino`. `auto` takes `bf16` where it is faster: with `xla` on CUDA, with `openvino` on processors that have instructions for it.',
    ),
  recompute: z
    .enum(['auto', 'always', 'never'])
    .default('auto')
    .describe(
      'Whether training computes each layer again for the backward pass in place of keeping what it needs: less memory, about a third more work. `auto` does so where the device has too little memory, by what the compiler says the program takes. `always` needs `xla`; other engines never do it.',
    ),
  threads: count()
    .nullable()
    .default(null)
    .describe('Threads of the engine. `null` leaves the number to it.'),
  plugin: text()
    .nullable()
    .default(null)
    .describe('PJRT library for `xla`. `null` takes `AFFECTGPT_XLA_PLUGIN` or an installed one.'),
  devices: count()
    .default(1)
    .describe(
      'Devices of this machine that train together (data parallel), each with a copy of the model; needs `xla`. The `train.accumulation` batches of a step are spread over them: it has to be a multiple of this number. Everything but training uses the first one.',
    ),
});

import { createEncoder } from '../../encoders/registry.ts';
import { Parameters } from '../engine/parameters.ts';
import { RandomGenerator } from '../engine/random.ts';
import type { Engine } from '../engine/types.ts';
import { openEncoder } from '../runtime/pretrained.ts';
import type { BenchCase, Measurement } from './case.ts';
import { clipFlops, hubertFlops } from './encoder-flops.ts';
import { type PublishedEncoder, publishedEncoders, randomModel } from './random-model.ts';

/** Frames or clips of one sample, and values of a clip (two seconds). */
export const encodeShape = { pieces: 8, samples: 32_000 };
const { pieces, samples } = encodeShape;

/** Floating-point operations of one sample. */
export function encodeFlops(name: PublishedEncoder): number {
  const { config } = publishedEncoders[name];
  return name === 'clip' ? clipFlops(config, pieces) : hubertFlops(config, pieces, samples);
}

/** Encodes one sample: CLIP ViT-L/14 on 8 frames of 224 x 224, or HuBERT-Large on 8 clips of 2 s. */
export async function openEncode(engine: Engine, name: PublishedEncoder): Promise<BenchCase> {
  const { modality } = createEncoder(name, publishedEncoders[name]);
  const folder = await randomModel(name);
  const started = performance.now();
  const { encoder, weights } = await openEncoder(name, folder, modality);
  const random = new RandomGenerator(1);
  const inputs =
    encoder.modality === 'visual'
      ? encoder.preprocess({
          data: Uint8Array.from({ length: pieces * 224 * 224 * 3 }, (_, i) => (i * 2_654_435_761) >>> 24),
          count: pieces,
          height: 224,
          width: 224,
        })
      : encoder.preprocess(
          { data: random.normalFloat32(pieces * samples, 0, 0.1), count: pieces, samples },
          { meanRemoval: false, normalisation: 'sample', clipsPerSample: pieces },
        );
  const compiled = await engine.compile(
    (tensors) => ({
      outputs: { features: encoder.forward(new Parameters(tensors.weights), tensors.inputs).features },
    }),
    { name: `bench-${name}`, inputs: encoder.inputs, weights },
  );
  const run = async (): Promise<Measurement> => {
    const before = performance.now();
    await compiled.run(inputs);
    return { ms: performance.now() - before };
  };
  await run();
  return {
    bench: 'encode',
    size: `${name}-large`,
    firstMs: performance.now() - started,
    tokens: null,
    flops: encodeFlops(name),
    run,
    dispose: () => compiled.dispose(),
  };
}

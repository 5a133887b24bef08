import { createEncoder } from '../../encoders/registry.ts';
import { createEngine, type EngineName } from '../../src/engine/engines.ts';
import { Parameters } from '../../src/engine/parameters.ts';
import { RandomGenerator } from '../../src/engine/random.ts';
import { openEncoder } from '../../src/runtime/pretrained.ts';
import { machine, peakMemory, summarise } from './machine.ts';
import { type PublishedEncoder, publishedEncoders, randomEncoder } from './random-model.ts';

export interface EncodeOptions {
  readonly engine: EngineName;
  readonly encoder: PublishedEncoder;
  readonly threads: number;
  /** Samples measured after the first. */
  readonly runs: number;
}

/** Frames or two-second clips of one sample. */
const pieces = 8;
const samples = 32_000;

/** Encodes one sample: CLIP ViT-L/14 on 8 frames of 224 x 224, or HuBERT-Large on 8 clips of 2 s. */
export async function benchEncode({ engine: type, encoder: name, threads, runs }: EncodeOptions) {
  const { modality } = createEncoder(name, publishedEncoders[name]);
  const { encoder, weights } = await openEncoder(name, await randomEncoder(name), modality);
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
  const engine = await createEngine({ type, threads });
  const started = performance.now();
  const compiled = await engine.compile(
    (tensors) => ({
      outputs: { features: encoder.forward(new Parameters(tensors.weights), tensors.inputs).features },
    }),
    { name: `bench-${name}`, inputs: encoder.inputs, weights },
  );
  await compiled.run(inputs);
  const firstRun = performance.now() - started;
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const before = performance.now();
    await compiled.run(inputs);
    times.push(performance.now() - before);
  }
  await compiled.dispose();
  return {
    bench: 'encode',
    size: `${name} large`,
    engine: type,
    threads,
    dtype: 'float32',
    ...summarise(times),
    peak_rss_mb: peakMemory(),
    first_run_ms: Math.round(firstRun),
    machine,
  };
}

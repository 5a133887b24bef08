import { parseClipConfig } from '../../encoders/clip.ts';
import { parseHubertConfig } from '../../encoders/hubert-config.ts';
import { patchCount } from '../../encoders/vision-tower.ts';

/** A product `[rows, in] x [in, out]`: a multiplication and an addition for each entry of the matrix and row. */
const product = (rows: number, inputs: number, outputs: number): number => 2 * rows * inputs * outputs;

interface Layers {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
}

/** Transformer layers over sequences of equal length: four square products, two of the MLP, and two over pairs of tokens. */
function layersFlops(config: Layers, sequences: number, tokens: number): number {
  const { hiddenSize, intermediateSize, numHiddenLayers } = config;
  const rows = sequences * tokens;
  const linear = 4 * product(rows, hiddenSize, hiddenSize) + 2 * product(rows, hiddenSize, intermediateSize);
  const attention = 2 * product(rows, hiddenSize, tokens);
  return numHiddenLayers * (linear + attention);
}

/**
 * Floating-point operations of CLIP's image tower on `images`: patches as one product, layers, and the projection of the
 * class token. Norms, softmax and activations are left out, as is usual.
 *
 * @param file the `config.json`
 */
export function clipFlops(file: unknown, images: number): number {
  const config = parseClipConfig(file);
  const patches = patchCount(config);
  return (
    product(images * patches, 3 * config.patchSize ** 2, config.hiddenSize) +
    layersFlops(config, images, patches + 1) +
    product(images, config.hiddenSize, config.projectionDim)
  );
}

/**
 * Floating-point operations of HuBERT on `clips` of `samples` values: convolutions, projection, the grouped convolution
 * for positions, layers.
 *
 * @param file the `config.json`
 */
export function hubertFlops(file: unknown, clips: number, samples: number): number {
  const config = parseHubertConfig(file);
  let time = samples;
  let channels = 1;
  let flops = 0;
  for (const { channels: outputs, kernel, stride } of config.convolutions) {
    time = Math.floor((time - kernel) / stride) + 1;
    flops += product(clips * time, channels * kernel, outputs);
    channels = outputs;
  }
  const { hiddenSize } = config;
  const perGroup = hiddenSize / config.numConvPosEmbeddingGroups;
  flops += product(clips * time, channels, hiddenSize);
  flops += product(clips * time, perGroup * config.numConvPosEmbeddings, hiddenSize);
  return flops + layersFlops(config, clips, time);
}

import type { AffectGptConfig } from '../../model/affectgpt.ts';
import { decoderTensorShapes } from '../../model/decoder.ts';
import { stepGraphs } from '../../train/dry-run/activations.ts';
import { stepFromShapes } from '../../train/dry-run/forecast.ts';
import { countElements } from '../../train/dry-run/parameters.ts';
import type { Config } from '../config/schema.ts';
import { applyBfloat16 } from '../engine/ir/passes/bfloat16.ts';
import { recomputeSegments } from '../engine/ir/passes/recompute.ts';
import type { SymbolicGraph } from '../engine/ir/symbolic.ts';
import { emitStablehlo } from '../engine/stablehlo/module.ts';
import type { GpuTarget } from '../engine/xla/gpu-targets.ts';
import { readHloModule } from '../engine/xla/hlo-module.ts';
import { listKernels } from '../engine/xla/optimized-hlo.ts';
import { Pjrt } from '../engine/xla/pjrt.ts';
import { findCudaPlugin } from '../engine/xla/plugin.ts';
import { compileForTarget } from '../engine/xla/topology.ts';
import { modelShapes } from '../runtime/model-shapes.ts';
import { forecastStep, type StepForecast } from './step-forecast.ts';

/** Sizes of the micro-batch that is compiled. */
export interface StepSizes {
  readonly batch: number;
  /** Of each sequence. */
  readonly tokens: number;
  /** Tokens that are learnt, of all sequences together. */
  readonly supervised: number;
}

export interface CompileForRequest {
  readonly config: Config;
  readonly gpu: GpuTarget;
  readonly sizes: StepSizes;
  /** Variants to compile, in this order. */
  readonly recompute: readonly boolean[];
  readonly notify: (message: string) => void;
}

/** What a compiled step has to stay below, in bytes. */
export interface StepTargets {
  readonly memory: number;
  readonly memoryRecomputed: number;
  readonly elementwise: number;
}

export interface CompileForReport {
  readonly bench: 'compile-for';
  /** Nothing ran: figures of time are a forecast. */
  readonly kind: 'forecast, compiled without a device';
  readonly gpu: string;
  readonly model: string;
  readonly layers: number;
  /** Of the decoder, all of them. */
  readonly parameters: number;
  readonly trainable: number;
  readonly dtype: 'bfloat16';
  readonly sizes: StepSizes;
  readonly plugin: string;
  readonly variants: readonly StepForecast[];
  /** null where there is none for this model and these sizes. */
  readonly targets: StepTargets | null;
  /** Targets that were missed, for people. */
  readonly missed: readonly string[];
}

/** For Qwen2.5-7B with adapters on all projections, 4,096 tokens a step. */
const publishedTargets: StepTargets = { memory: 60e9, memoryRecomputed: 24e9, elementwise: 200e9 };

function targetsOf({ decoder }: AffectGptConfig, { batch, tokens }: StepSizes): StepTargets | null {
  const { hiddenSize, numHiddenLayers, intermediateSize } = decoder;
  const isPublished = hiddenSize === 3584 && numHiddenLayers === 28 && intermediateSize === 18_944;
  return isPublished && batch * tokens === 4096 ? publishedTargets : null;
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** What a report says of targets that were missed, for people. */
export function missedTargets(variants: readonly StepForecast[], targets: StepTargets): string[] {
  return variants.flatMap(({ recompute, memory, elementwiseBytes }) => {
    const name = recompute ? 'with recomputation' : 'without recomputation';
    const checks = [
      ['memory', memory.total, recompute ? targets.memoryRecomputed : targets.memory],
      ['elementwise traffic', elementwiseBytes, targets.elementwise],
    ] as const;
    return checks.flatMap(([what, bytes, limit]) =>
      bytes > limit ? [`${what} ${name} is ${gigabytes(bytes)}, above ${gigabytes(limit)}`] : [],
    );
  });
}

/** XLA reads these when its library is loaded: how much it says. */
function quietXla(): void {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
}

/**
 * Compiles the optimizer step of a configured model, as training runs it, for a GPU that need not be there. Neither weights
 * nor data are read: the model's shapes come from its folder or from the table of published models.
 *
 * @throws EngineError `ENGINE_PLUGIN_MISSING`, `ENGINE_CUDA_TOOLS`, `ENGINE_XLA`; InputError `MODEL_SHAPES_UNKNOWN`
 */
export async function compileFor(request: CompileForRequest): Promise<CompileForReport> {
  const { config, gpu, sizes, notify } = request;
  const plugin = findCudaPlugin();
  quietXla();
  const pjrt = new Pjrt(plugin.path);
  const { config: model } = await modelShapes(config);
  const step = stepFromShapes(config, model);
  const [traced] = await stepGraphs(step, { accumulate: false });
  const graph = applyBfloat16(traced!);
  const recomputation = { segmentOf: step.segmentOf!, result: 'loss' };
  const parameters = countElements(decoderTensorShapes(model.decoder));
  const variants: StepForecast[] = [];
  for (const recompute of request.recompute) {
    notify(`Compiling for ${gpu.describe}${recompute ? ', each layer recomputed' : ''} ...`);
    const started = performance.now();
    const compiled = await compileForTarget(
      pjrt,
      gpu.config,
      moduleText(recompute ? recomputeSegments(graph, recomputation) : graph, sizes),
    );
    variants.push(
      forecastStep({
        ...{ gpu, recompute, parameters, memory: compiled.memory },
        compileSeconds: (performance.now() - started) / 1000,
        kernels: listKernels(readHloModule(compiled.optimizedModule)),
        tokens: sizes.batch * sizes.tokens,
      }),
    );
  }
  const targets = targetsOf(model, sizes);
  return {
    bench: 'compile-for',
    kind: 'forecast, compiled without a device',
    gpu: gpu.describe,
    model: config.model.llm,
    layers: model.decoder.numHiddenLayers,
    parameters,
    trainable: countElements(step.trainable),
    dtype: 'bfloat16',
    sizes,
    plugin: plugin.source,
    variants,
    targets,
    missed: targets === null ? [] : missedTargets(variants, targets),
  };
}

/** Frozen weights lie on the device in bf16. */
function moduleText(graph: SymbolicGraph, sizes: StepSizes): string {
  const weightTypes = Object.fromEntries([...graph.weights.keys()].map((name) => [name, 'bf16' as const]));
  return emitStablehlo(graph, { ...sizes }, weightTypes).text;
}

import type { Engine, HostTensor } from '../src/engine/types.ts';
import { InputError } from '../src/errors.ts';
import { describeFault } from './bad-step.ts';
import { type Dump, readDump } from './dump.ts';
import { createTrainState, type StepOptions, TrainStep } from './step.ts';
import type { StepResult } from './step-result.ts';

/** NaN and infinity in one tensor. */
export interface TensorReport {
  readonly name: string;
  readonly elements: number;
  readonly nan: number;
  readonly infinite: number;
  /** Row-major index of the first NaN or infinity; null where there is none. */
  readonly first: number | null;
  /** Largest magnitude among the finite elements; 0 where there is none. */
  readonly largest: number;
}

/** What a dumped step gives when it is computed again. */
export interface Replay {
  readonly dump: Dump;
  readonly engine: string;
  readonly result: StepResult;
  /** Trained tensors before the step, and what their gradients are; both in the order of the parameters. */
  readonly parameters: readonly TensorReport[];
  readonly gradients: readonly TensorReport[];
}

/** Counts what is not finite. */
export function inspectTensor(name: string, { data }: HostTensor): TensorReport {
  let [nan, infinite, largest] = [0, 0, 0];
  let first: number | null = null;
  for (const [index, value] of data.entries()) {
    if (Number.isFinite(value)) {
      largest = Math.max(largest, Math.abs(value));
      continue;
    }
    if (Number.isNaN(value)) nan++;
    else infinite++;
    first ??= index;
  }
  return { name, elements: data.length, nan, infinite, first, largest };
}

/** @throws InputError `DUMP_MISMATCH` */
function checkTensors({ parameters }: Dump, { trainable }: StepOptions, folder: string): void {
  const shown = (shape: readonly number[] | undefined) => (shape ? `[${shape.join(', ')}]` : 'absent');
  const faults = [...new Set([...Object.keys(trainable), ...Object.keys(parameters)])]
    .map((name) => [name, shown(parameters[name]?.shape), shown(trainable[name])] as const)
    .filter(([, dumped, wanted]) => dumped !== wanted)
    .map(([name, dumped, wanted]) => `${name} is ${dumped}, the model has ${wanted}`);
  if (faults.length > 0) {
    throw new InputError(
      'DUMP_MISMATCH',
      `The dump ${folder} does not fit the model that its configuration describes: ${faults.slice(0, 20).join('; ')}.`,
    );
  }
}

/**
 * Computes a dumped step again from its batch and the trained tensors before it. On the same engine with the same
 * thread count the loss has the same bits. Nothing is written.
 *
 * @param stepOptions of the same model
 * @throws InputError `DUMP_MISMATCH`, and those of `readDump`
 */
export async function replayStep(folder: string, stepOptions: StepOptions, engine: Engine): Promise<Replay> {
  const dump = await readDump(folder);
  checkTensors(dump, stepOptions, folder);
  const { supervisedTokens, learningRate, update, accumulate } = dump.step;
  const { microBatches } = dump;
  const trainStep = new TrainStep(engine, stepOptions);
  // The order of the model, not that of the file.
  const ordered = Object.keys(stepOptions.trainable).map((name) => [name, dump.parameters[name]!] as const);
  const state = createTrainState(engine, Object.fromEntries(ordered), { accumulation: 2 });
  try {
    // Before the step, which may change the parameters.
    const { gradients } = await trainStep.gradients(state, microBatches, supervisedTokens);
    const settings = { supervisedTokens, learningRate, step: update, accumulate };
    return {
      dump,
      engine: engine.name,
      result: await trainStep.run(state, microBatches, settings),
      parameters: ordered.map(([name, tensor]) => inspectTensor(name, tensor)),
      gradients: Object.entries(gradients).map(([name, tensor]) => inspectTensor(name, tensor)),
    };
  } finally {
    state.dispose();
    await trainStep.dispose();
  }
}

const row = ({ name, elements, nan, infinite, first, largest }: TensorReport): string =>
  `  ${name}: ${nan} NaN, ${infinite} infinite of ${elements}; first at ${first}; largest finite ${largest.toPrecision(4)}`;

function section(title: string, reports: readonly TensorReport[]): string[] {
  const bad = reports.filter(({ first }) => first !== null);
  const largest = reports.reduce<TensorReport | undefined>(
    (most, report) => (most === undefined || report.largest > most.largest ? report : most),
    undefined,
  );
  const summary = `${title}: ${bad.length} of ${reports.length} tensors are not finite; largest finite value ${largest?.largest.toPrecision(4) ?? 0} in ${largest?.name ?? 'none'}`;
  return [summary, ...bad.map(row)];
}

/** The report for people. */
export function formatReplay({ dump, engine, result, parameters, gradients }: Replay): string {
  const { step, epoch, seed, samples, loss, gradNorm, fault, engine: before } = dump.step;
  const same = Object.is(result.loss, loss) ? 'the same bits' : 'another value';
  const lines = [
    `Step ${step}, epoch ${epoch}, seed ${seed}; samples: ${samples.flat().join(', ')}`,
    `Then, on ${before}: loss ${loss}, gradient norm ${gradNorm}; ${describeFault(fault)}`,
    `Now, on ${engine}: loss ${result.loss} (${same}), gradient norm ${result.gradNorm}; ${result.fault === undefined ? 'all finite' : describeFault(result.fault)}`,
    ...section('Inputs', dump.microBatches.flatMap(inputReports)),
    ...section('Trained tensors before the step', parameters),
    ...section('Gradients', gradients),
  ];
  return `${lines.join('\n')}\n`;
}

const inputReports = (batch: Dump['microBatches'][number], index: number): TensorReport[] =>
  Object.entries(batch).map(([name, tensor]) => inspectTensor(`${name} of micro-batch ${index + 1}`, tensor));

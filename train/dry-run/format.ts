import { formatDuration } from '../progress.ts';
import type { DiskNeed } from './disk.ts';
import type { DryRunReport } from './report.ts';

const grouped = (count: number): string => Math.round(count).toLocaleString('en-US');

/** Decimal units, as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** Days too, unlike `formatDuration`: whole trainings take them. */
function formatLong(seconds: number): string {
  const days = Math.floor(seconds / 86_400);
  return days === 0 ? formatDuration(seconds) : `${days} d ${formatDuration(seconds - days * 86_400)}`;
}

const milliseconds = (seconds: number): string => `${grouped(seconds * 1000)} ms`;

function parameterLines({ parameters }: DryRunReport): string[] {
  const rows = [
    ['part', 'trainable', 'frozen'],
    ...parameters.parts.map(({ part, trainable, frozen }) => [part, grouped(trainable), grouped(frozen)]),
    ['all', grouped(parameters.trainable), grouped(parameters.frozen)],
  ];
  const [wide, middle, last] = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return [
    'Parameters',
    ...rows.map(
      ([name, one, two]) => `  ${name!.padEnd(wide!)}  ${one!.padStart(middle!)}  ${two!.padStart(last!)}`,
    ),
  ];
}

function dataLines({ data, tokens }: DryRunReport): string[] {
  const { samples, heldOut, validated, countedFrom } = data;
  const measured = validated ? `, ${grouped(validated)} of them for validation` : '';
  const counted =
    samples === null
      ? 'not at hand, and of no published size'
      : `${grouped(samples)} samples to train on` +
        (countedFrom === 'records'
          ? ` (${heldOut} held out${measured})`
          : ' in the published set; not at hand, not checked');
  if (tokens === null) return ['Data', `  ${counted}`, '  tokens: not counted without models'];
  const perStep = `${grouped(tokens.meanTokensPerStep)} a step on average, ${grouped(tokens.longestTokensPerStep)} at most`;
  return [
    'Data',
    `  ${counted}; all were checked`,
    `  tokens: ${grouped(tokens.meanTokens)} a sample on average, ${grouped(tokens.longestTokens)} at most; ${perStep}`,
    `  padding: ${(100 * tokens.paddingShare).toFixed(1)} % of what is computed; ${grouped(tokens.stepsPerEpoch)} steps an epoch`,
  ];
}

function memoryLines({ memory, steps }: DryRunReport): string[] {
  const { exact, estimate, machineBytes } = memory;
  const lines = [
    'Memory',
    `  exact, in float32: frozen weights ${formatBytes(exact.frozenWeights)}, trainable ${formatBytes(exact.trainable)}, ` +
      `gradient sums ${formatBytes(exact.gradients)}, moments ${formatBytes(exact.moments)}`,
  ];
  if (steps !== null) {
    const { afterStepBytes, peakBytes } = steps.memory;
    lines.push(
      `  measured: ${formatBytes(afterStepBytes)} after the first step, ${formatBytes(peakBytes)} at most (encoders and the widest batch included)`,
    );
  }
  if (estimate === null) {
    lines.push('  estimated: not for this engine; onnxruntime on the CPU has one');
    return lines;
  }
  const { batch, tokens, supervised } = estimate.at;
  const over = estimate.total > machineBytes ? ' - MORE THAN THIS MACHINE HAS' : '';
  lines.push(
    `  estimated for ${batch} x ${grouped(tokens)} tokens (${grouped(supervised)} of them learnt): ${formatBytes(estimate.total)} ` +
      `of this machine's ${formatBytes(machineBytes)}${over}`,
  );
  return lines;
}

function diskLine(what: string, { folder, bytes, freeBytes }: DiskNeed): string {
  const over = bytes > freeBytes ? ' - NOT ENOUGH' : '';
  return `  ${what}: ${formatBytes(bytes)} in ${folder}, where ${formatBytes(freeBytes)} are free${over}`;
}

function diskLines({ disk }: DryRunReport): string[] {
  const { featureCache, featureBytesPerSample, checkpoint, checkpoints } = disk;
  const parts = `adapter ${formatBytes(checkpoint.adapter)}, others ${formatBytes(checkpoint.others)}, moments ${formatBytes(checkpoint.optimizer)}`;
  return [
    'Disk',
    featureCache === null
      ? `  features: ${formatBytes(featureBytesPerSample)} a sample`
      : diskLine('features, where none is cached', featureCache),
    diskLine('checkpoints, those kept and the one being written', checkpoints),
    `  a checkpoint: ${formatBytes(checkpoint.total)} (${parts})`,
  ];
}

/** What the time of a training holds beside steps. */
function validationNote(validations: NonNullable<DryRunReport['time']>['validations']): string {
  if (validations === null || validations.count === 0) return '';
  const { count, seconds } = validations;
  const what = `${count} ${count === 1 ? 'validation' : 'validations'}`;
  return seconds === null
    ? `, without ${what}: what one takes is not known before the first has run`
    : `, ${what} of ${formatDuration(seconds)} each included`;
}

function timeLines({ steps, time }: DryRunReport): string[] {
  if (steps === null || time === null) return ['Time', '  not measured without models'];
  const { engine, firstSeconds, medianSeconds, widestSeconds, loss } = steps;
  const features =
    time.featureSecondsPerSample === null
      ? []
      : [
          `  features: ${milliseconds(time.featureSecondsPerSample)} a sample, ${formatLong(time.featureSecondsAtMost)} where none is cached`,
        ];
  return [
    'Time',
    `  a step on ${engine}: ${milliseconds(medianSeconds)} (median of three), the first ${milliseconds(firstSeconds)}, the widest batch ${milliseconds(widestSeconds)}; first loss ${loss.toFixed(4)}`,
    ...features,
    `  training: ${formatLong(time.trainingSeconds)}${validationNote(time.validations)}`,
  ];
}

/** The report for people, several lines. */
export function formatDryRun(report: DryRunReport): string {
  const head =
    report.dryRun === 'run'
      ? 'Dry run: a few steps were run in memory; nothing was written.'
      : 'Dry run from shapes alone: no weight was read, nothing was run or written.';
  const lines = [
    head,
    ...parameterLines(report),
    ...dataLines(report),
    ...memoryLines(report),
    ...diskLines(report),
    ...timeLines(report),
  ];
  return `${lines.join('\n')}\n`;
}

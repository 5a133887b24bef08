import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { featureInputSpecs } from '../../model/affectgpt.ts';
import { forecastFromShapes } from '../../train/dry-run/forecast.ts';
import type { DryRunReport } from '../../train/dry-run/report.ts';
import { renderConfig } from '../config/save.ts';
import { InputError } from '../errors.ts';
import { modelShapes } from '../runtime/model-shapes.ts';
import { type FeatureSet, featureSets } from './effective.ts';
import type { Sweep, SweepPoint } from './load.ts';
import { PointFaults } from './point-faults.ts';
import { type PointState, pointState } from './point-state.ts';
import type { Program } from './processes.ts';
import { threadsOf } from './run.ts';

/** What a point would take. */
export interface PointForecast {
  readonly id: string;
  readonly state: PointState['state'];
  /** Of the whole training without features; null where nothing was measured. */
  readonly seconds: number | null;
  /** Null for engines that nothing is known of. */
  readonly memoryBytes: number | null;
  /** Checkpoints that are kept, and the one that is being written. */
  readonly diskBytes: number;
  readonly trainableParameters: number;
  /** Keys of feature sets. */
  readonly features: readonly string[];
}

/** Features that are computed once. */
export interface FeatureForecast extends FeatureSet {
  /** Points that read them. */
  readonly points: readonly string[];
  /** Where none is in the cache; null where samples are not known. */
  readonly bytes: number | null;
}

/** What a sweep would take. JSON. */
export interface SweepForecast {
  /** `run`: a few steps of each distinct shape were run; `shapes`: from shapes alone. */
  readonly dryRun: 'run' | 'shapes';
  readonly sweep: string;
  readonly output: string;
  readonly parallel: number;
  /** Of each point; null leaves the number to the engine. */
  readonly threads: number | null;
  readonly points: readonly PointForecast[];
  readonly features: readonly FeatureForecast[];
  /** Of the points that are not done. */
  readonly totals: {
    readonly points: number;
    readonly trainingSeconds: number | null;
    /** Training with so many points at a time. */
    readonly wallSeconds: number | null;
    /** Encoders where nothing is in the cache, on top. */
    readonly featureSecondsAtMost: number | null;
    readonly memoryBytes: number | null;
    readonly machineBytes: number;
    readonly diskBytes: number;
    readonly freeBytes: number;
  };
}

/** Equal for configurations whose steps take the same: seed, learning rate and the like are left out. */
function shapeOf({ config }: SweepPoint): string {
  const { model, fusion, lora, data, train, engine, compat } = config;
  const { batchSize, accumulation, parts, validation } = train;
  const adapter = parts.decoder === 'lora' ? [lora.rank, lora.targets, lora.dropout > 0] : null;
  return JSON.stringify([
    model,
    fusion,
    adapter,
    data,
    batchSize,
    accumulation,
    parts,
    validation,
    engine,
    compat,
  ]);
}

export interface ForecastOptions {
  readonly shapesOnly: boolean;
  readonly parallel: number;
  readonly cores: number;
  readonly program: Program;
  readonly notify: (message: string) => void;
}

/**
 * What the points of a sweep would take. Nothing is written. Of points of the same shape one is looked at.
 *
 * @throws InputError `SWEEP_NOT_READY` with what is wrong with any shape, `MODEL_SHAPES_UNKNOWN`
 */
export async function forecastSweep(
  sweep: Sweep,
  points: readonly SweepPoint[],
  options: ForecastOptions,
): Promise<SweepForecast> {
  const { parallel, cores, shapesOnly, notify } = options;
  const threads = threadsOf(cores, parallel);
  const reports = new Map<string, DryRunReport>();
  const faults = new PointFaults(points.length);
  const seen = new Set<string>();
  for (const point of points) {
    const shape = shapeOf(point);
    if (seen.has(shape)) continue;
    seen.add(shape);
    if (!shapesOnly) notify(`Dry run of ${point.id}.`);
    try {
      const report = shapesOnly
        ? await forecastFromShapes(point.config)
        : await runOne(point, options.program, threads);
      reports.set(shape, report);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const alike = points.filter((other) => shapeOf(other) === shape);
      faults.add(
        alike.map(({ id }) => id),
        error,
      );
    }
  }
  faults.throwAny();
  const reportOf = (point: SweepPoint) => reports.get(shapeOf(point))!;
  const forecasts = await Promise.all(points.map((point) => forecastPoint(point, reportOf(point))));
  const due = points.flatMap((point, i) =>
    forecasts[i]!.state === 'done' ? [] : [{ point, forecast: forecasts[i]! }],
  );
  const features = await forecastFeatures(points, reportOf);
  const seconds = due.map(({ forecast }) => forecast.seconds);
  const known = seconds.filter((one) => one !== null);
  const isMeasured = known.length === seconds.length;
  const first = reportOf(points[0]!);
  const newFeatures = features.filter(({ points: of }) => due.some(({ point }) => of.includes(point.id)));
  return {
    dryRun: shapesOnly ? 'shapes' : 'run',
    ...{ sweep: sweep.label, output: sweep.output, parallel, threads, points: forecasts, features },
    totals: {
      points: due.length,
      trainingSeconds: isMeasured ? sum(known) : null,
      wallSeconds: isMeasured ? wallSeconds(known, parallel) : null,
      featureSecondsAtMost: isMeasured
        ? featureSeconds(
            due.map(({ point }) => point),
            reportOf,
          )
        : null,
      memoryBytes: memoryOf(
        due.map(({ forecast }) => forecast.memoryBytes),
        parallel,
      ),
      machineBytes: os.totalmem(),
      diskBytes:
        sum(due.map(({ forecast }) => forecast.diskBytes)) + sum(newFeatures.map(({ bytes }) => bytes ?? 0)),
      freeBytes: first.disk.checkpoints.freeBytes,
    },
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Each point goes to the first worker that is free. */
function wallSeconds(seconds: readonly number[], parallel: number): number {
  const workers = new Array<number>(parallel).fill(0);
  for (const one of seconds) workers[workers.indexOf(Math.min(...workers))]! += one;
  return Math.max(...workers);
}

/** Of the largest ones that may run together; null where one is not known. */
function memoryOf(bytes: readonly (number | null)[], parallel: number): number | null {
  const known = bytes.filter((one) => one !== null);
  if (known.length < bytes.length) return null;
  return sum(known.sort((a, b) => b - a).slice(0, parallel));
}

/** Of every combination of encoders that brings features nobody computed before it. */
function featureSeconds(
  points: readonly SweepPoint[],
  reportOf: (point: SweepPoint) => DryRunReport,
): number {
  const seen = new Set<string>();
  let total = 0;
  for (const point of points) {
    const keys = featureSets(point.config).map(({ key }) => key);
    if (point.config.data.featureCache !== null && keys.every((key) => seen.has(key))) continue;
    for (const key of keys) seen.add(key);
    total += reportOf(point).time?.featureSecondsAtMost ?? 0;
  }
  return total;
}

async function forecastPoint(point: SweepPoint, report: DryRunReport): Promise<PointForecast> {
  const { steps, tokens, memory, disk, parameters, time } = report;
  const { checkpoint, steps: given, epochs } = point.config.train;
  const wanted = epochs === null || tokens === null ? given : Math.ceil(epochs * tokens.stepsPerEpoch);
  return {
    id: point.id,
    state: (await pointState(point)).state,
    seconds:
      steps === null
        ? null
        : steps.firstSeconds +
          (wanted - 1) * steps.medianSeconds +
          (time?.validations?.count ?? 0) * (time?.validations?.seconds ?? 0),
    memoryBytes: Math.max(steps?.memory.peakBytes ?? 0, memory.estimate?.total ?? 0) || null,
    diskBytes: (checkpoint.keep + 1) * disk.checkpoint.total,
    trainableParameters: parameters.trainable,
    features: featureSets(point.config).map(({ key }) => key),
  };
}

async function forecastFeatures(
  points: readonly SweepPoint[],
  reportOf: (point: SweepPoint) => DryRunReport,
): Promise<FeatureForecast[]> {
  const found = new Map<string, FeatureForecast>();
  for (const point of points) {
    for (const set of featureSets(point.config)) {
      const known = found.get(set.key);
      const bytes = known === undefined ? await bytesOf(point, set, reportOf(point)) : known.bytes;
      found.set(set.key, { ...set, bytes, points: [...(known?.points ?? []), point.id] });
    }
  }
  return [...found.values()];
}

const bytesOfFloat = 4;

async function bytesOf(
  { config }: SweepPoint,
  { kind }: FeatureSet,
  report: DryRunReport,
): Promise<number | null> {
  const { samples } = report.data;
  if (samples === null) return null;
  const { shape } = featureInputSpecs((await modelShapes(config)).config)[kind]!;
  return samples * bytesOfFloat * shape.slice(1).reduce<number>((product, size) => product * Number(size), 1);
}

/** A dry run in a process of its own, so that its memory is its own. */
async function runOne(point: SweepPoint, program: Program, threads: number | null): Promise<DryRunReport> {
  const folder = await mkdtemp(join(os.tmpdir(), 'affectgpt-sweep-'));
  try {
    const file = join(folder, 'point.yaml');
    await writeFile(file, renderConfig(point.config));
    const [command, ...before] = program;
    const more =
      threads === null || point.config.engine.threads !== null ? [] : ['--set', `engine.threads=${threads}`];
    const { stdout, stderr, exitCode } = await execa(
      command,
      [...before, 'train', '--config', file, '--dry-run', '--json', ...more],
      { reject: false, stdin: 'ignore' },
    );
    if (exitCode === 0) return JSON.parse(stdout) as DryRunReport;
    const fault = /error\[([A-Z_0-9]+)\]: ([\s\S]*)/.exec(stderr);
    throw new InputError(fault?.[1] ?? 'DRY_RUN_FAILED', (fault?.[2] ?? stderr).trim());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

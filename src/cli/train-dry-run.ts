import type { Config } from '../config/schema.ts';
import { notify } from './notify.ts';

export interface DryRunArguments {
  readonly config: Config;
  readonly resume: 'auto' | 'never';
  readonly shapesOnly: boolean;
  readonly json: boolean;
}

/** `affectgpt train --dry-run [--shapes-only] [--json]`: what a training would take, without training. */
export async function dryRunCommand({ config, resume, shapesOnly, json }: DryRunArguments): Promise<void> {
  const { formatDryRun } = await import('../../train/dry-run/format.ts');
  const report = shapesOnly ? await fromShapes(config) : await fromRun(config, resume);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : formatDryRun(report));
}

async function fromShapes(config: Config) {
  const { forecastFromShapes } = await import('../../train/dry-run/forecast.ts');
  return forecastFromShapes(config);
}

async function fromRun(config: Config, resume: DryRunArguments['resume']) {
  const { createEngine } = await import('../engine/engines.ts');
  const { dryRun } = await import('../../train/dry-run/run.ts');
  const { EvaluationAroundTraining } = await import('../eval/around-training.ts');
  const engine = await createEngine(config.engine, notify);
  const { evaluation: settings } = config;
  const scoring =
    settings && new EvaluationAroundTraining({ config, settings, engine, notify, isStopped: () => false });
  return dryRun({ config, engine, resume, notify, ...(scoring && { check: () => scoring.check() }) });
}

import type { MetricsLine } from '../../train/metrics.ts';
import { type Curve, lineChart, type Point, smooth } from '../report/line-chart.ts';
import type { RunRecord } from './read-run.ts';

/** Weight of the past in the smoothed loss. */
const smoothing = 0.9;
/** Fewer points need no smoothing. */
const fewestToSmooth = 20;

const xName = 'optimizer step';

/** Points of the values that are there. */
const pointsOf = <T extends { readonly step: number }>(
  lines: readonly T[],
  value: (line: T) => number | null | undefined,
): Point[] =>
  lines.flatMap((line): Point[] => {
    const y = value(line);
    return typeof y === 'number' ? [[line.step, y]] : [];
  });

function lossCurves({ metrics, validations }: RunRecord): Curve[] {
  const raw = pointsOf(metrics, ({ loss }) => loss);
  const isSmoothed = raw.length >= fewestToSmooth;
  const validation = pointsOf(validations, ({ loss }) => loss);
  return [
    ...(isSmoothed ? [{ name: 'each line', points: raw, isFaint: true, hue: 0 }] : []),
    { hue: 0, name: isSmoothed ? 'smoothed' : 'training', points: isSmoothed ? smooth(raw, smoothing) : raw },
    ...(validation.length === 0 ? [] : [{ name: 'validation', points: validation, hasDots: true, hue: 1 }]),
  ];
}

/** Metrics of the validations, each a curve: those of all samples, or the accuracy of each task. */
function metricCurves({ validations }: RunRecord, of: 'all' | 'tasks'): Curve[] {
  const perTask = 'taskAccuracy/';
  const all = [...new Set(validations.flatMap(({ metrics }) => Object.keys(metrics)))];
  const names = all.filter((name) => (of === 'tasks' ? name.startsWith(perTask) : !name.includes('/')));
  return names.map((name) => ({
    name: of === 'tasks' ? name.slice(perTask.length) : name,
    points: pointsOf(validations, ({ metrics }) => metrics[name]),
    hasDots: true,
  }));
}

/** Charts of all that was recorded over the steps. */
export function curvesSection(run: RunRecord): string {
  const { metrics, environments, scalars } = run;
  const marks = environments
    .filter(({ step }) => step > 0)
    .map(({ step }) => ({ x: step, title: `resumed after step ${step}` }));
  const chart = (title: string, curves: readonly Curve[]): string =>
    lineChart({ title, xName, curves, marks });
  const one = (title: string, value: (line: MetricsLine) => number): string =>
    chart(title, [{ name: title, points: pointsOf(metrics, value) }]);
  const scalar = (tag: string, factor = 1): Point[] =>
    (scalars.get(tag) ?? []).map(([step, value]) => [step, factor * value]);
  const judged = metricCurves(run, 'all');
  const judgedTasks = metricCurves(run, 'tasks');
  const used = scalar('train/mfu', 100);
  const memory = [
    { name: 'now', points: scalar('system/rss_gb') },
    { name: 'peak', points: scalar('system/peak_rss_gb') },
  ];
  const charts = [
    chart('Loss', lossCurves(run)),
    ...(judged.length === 0 ? [] : [chart('Validation metrics', judged)]),
    ...(judgedTasks.length === 0 ? [] : [chart('Validation accuracy of tasks', judgedTasks)]),
    one('Learning rate', ({ lr }) => lr),
    one('Gradient norm', ({ gradNorm }) => gradNorm),
    one('Tokens a second', ({ tokensPerSecond }) => tokensPerSecond),
    ...(used.length === 0 ? [] : [chart('MFU, % of the measured peak', [{ name: 'MFU', points: used }])]),
    ...(memory[0]!.points.length === 0 ? [] : [chart('Memory (RSS), GB', memory)]),
  ];
  const resumed = marks.length === 0 ? '' : ' Dashed lines: where the run was resumed.';
  return `<div class="charts">${charts.join('\n')}</div><p class="aside">Over optimizer steps.${resumed}</p>`;
}

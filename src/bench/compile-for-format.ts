import { markdownTable } from '../report/table.ts';
import type { CompileForReport } from './compile-for.ts';
import { assumptions, type StepForecast } from './step-forecast.ts';

const grouped = (count: number): string => Math.round(count).toLocaleString('en-US');
const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
const milliseconds = (seconds: number): string => (seconds * 1000).toFixed(0);
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

type Row = readonly [name: string, value: (variant: StepForecast) => string];

const rows: readonly Row[] = [
  ['memory, GB', ({ memory }) => gigabytes(memory.total)],
  ['- weights, state, inputs', ({ memory }) => gigabytes(memory.arguments)],
  ['- intermediate values', ({ memory }) => gigabytes(memory.temporary)],
  ['- new state, beside the old one', ({ memory }) => gigabytes(memory.outputs)],
  ['kernels', ({ kernelCount }) => grouped(kernelCount)],
  ['matrix products, TFLOP', ({ flops }) => (flops / 1e12).toFixed(1)],
  ['moved by matrix products, GB', ({ productBytes }) => gigabytes(productBytes)],
  ['moved elementwise, GB', ({ elementwiseBytes }) => gigabytes(elementwiseBytes)],
  ['forecast step, ms', ({ seconds }) => milliseconds(seconds.total)],
  ['- matrix products', ({ seconds }) => milliseconds(seconds.products)],
  ['- elementwise', ({ seconds }) => milliseconds(seconds.elementwise)],
  ['forecast tokens a second', ({ tokensPerSecond }) => grouped(tokensPerSecond)],
  ['forecast MFU at 4N', ({ mfu }) => percent(mfu)],
  ['- of what is computed', ({ utilisation }) => percent(utilisation)],
  ['compiled in, s', ({ compileSeconds }) => compileSeconds.toFixed(0)],
];

function kernelTable(variants: readonly StepForecast[]): string {
  const kinds = [...new Set(variants.flatMap(({ kernels }) => kernels.map(({ kind }) => kind)))];
  return markdownTable({
    head: ['kernels', ...variants.flatMap(() => ['launches', 'read, GB', 'written, GB'])],
    rows: kinds.map((kind) => [
      kind,
      ...variants.flatMap(({ kernels }) => {
        const sum = kernels.find((each) => each.kind === kind);
        return sum === undefined
          ? ['0', '0', '0']
          : [grouped(sum.count), gigabytes(sum.bytesRead), gigabytes(sum.bytesWritten)];
      }),
    ]),
  });
}

/** The report as text: tables that can be pasted into a document. */
export function formatCompileFor(
  report: CompileForReport,
  gpu: { readonly peakFlops: number; readonly memoryBandwidth: number },
): string {
  const { model, layers, parameters, trainable, sizes, variants, targets, missed } = report;
  const { batch, tokens, supervised } = sizes;
  const names = variants.map(({ recompute }) => (recompute ? 'layers recomputed' : 'plain'));
  const reached = ((assumptions.productShare * gpu.peakFlops) / 1e12).toFixed(0);
  const bandwidth = ((assumptions.bandwidthShare * gpu.memoryBandwidth) / 1e12).toFixed(2);
  const verdict =
    targets === null
      ? 'Targets: none for this model and these sizes.'
      : missed.length > 0
        ? `Targets missed: ${missed.join('; ')}.`
        : `Targets held: at most ${gigabytes(targets.memory)} GB, ${gigabytes(targets.memoryRecomputed)} GB with recomputation, elementwise below ${gigabytes(targets.elementwise)} GB.`;
  return [
    `${report.gpu}: FORECAST, compiled without a device by ${report.plugin}; nothing was run.`,
    `${model}, ${layers} layers, ${grouped(parameters)} parameters in bf16, ${grouped(trainable)} trainable in float32; forward, backward and AdamW in one program.`,
    `${batch} x ${grouped(tokens)} = ${grouped(batch * tokens)} tokens, ${grouped(supervised)} of them learnt (logits and cross-entropy of these alone).`,
    '',
    markdownTable({
      head: ['', ...names],
      rows: rows.map(([name, value]) => [name, ...variants.map(value)]),
    }),
    kernelTable(variants),
    `Time is a roofline over the kernels: the longest of operations at ${reached} TFLOP/s (${percent(assumptions.productShare)} of the dense bf16 peak of ${(gpu.peakFlops / 1e12).toFixed(0)}), bytes at ${bandwidth} TB/s (${percent(assumptions.bandwidthShare)} of the data sheet; nothing stays in a cache) and ${assumptions.leastKernelSeconds * 1e6} microseconds, one kernel after the other. MFU counts 4 operations a parameter and token.`,
    verdict,
    '',
  ].join('\n');
}

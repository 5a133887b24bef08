import type { Profile } from '../engine/onnxruntime/profile.ts';
import { markdownTable } from '../report/table.ts';
import { gflopsPerSecond } from './result.ts';

/** One operator of a profile as `bench --profile --json` prints it; times in milliseconds a run. */
export interface ProfileLine {
  readonly op: string;
  readonly calls: number;
  readonly ms: number;
  /** Of the whole run. */
  readonly share: number;
  /** Billions of operations a second, of matrix products. */
  readonly gflops_per_s?: number;
  readonly roof_share?: number;
}

/** Time of a run that no operator accounts for. */
export const betweenOperators = 'between operators';

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));

/**
 * The rows of a profile with their shares; the last one is what no operator accounts for.
 *
 * @param roof GFLOP/s of one large matrix product
 */
export function profileLines({ milliseconds, rows }: Profile, roof: number): ProfileLine[] {
  const share = (ms: number): number => (milliseconds === 0 ? 0 : rounded(ms / milliseconds, 4));
  const lines = rows.map(({ op, calls, milliseconds: ms, flops }): ProfileLine => {
    const line = { op, calls: rounded(calls, 2), ms: rounded(ms, 3), share: share(ms) };
    if (flops === undefined || ms === 0) return line;
    const reached = gflopsPerSecond(flops, ms);
    return { ...line, gflops_per_s: rounded(reached, 1), roof_share: rounded(reached / roof, 3) };
  });
  const rest = milliseconds - rows.reduce((sum, row) => sum + row.milliseconds, 0);
  return [...lines, { op: betweenOperators, calls: 1, ms: rounded(rest, 3), share: share(rest) }];
}

/** A profile for people: operators under one in a thousand are one row. */
export function profileTable(name: string, profile: Profile, roof: number): string {
  const lines = profileLines(profile, roof);
  const isShown = ({ op, share }: ProfileLine): boolean => share >= 0.001 || op === betweenOperators;
  const small = lines.filter((line) => !isShown(line));
  const sum = (key: 'calls' | 'ms' | 'share'): number => small.reduce((all, line) => all + line[key], 0);
  const others: ProfileLine[] =
    small.length === 0
      ? []
      : [{ op: `${small.length} others`, calls: sum('calls'), ms: sum('ms'), share: sum('share') }];
  const percent = (value: number): string => (100 * value).toFixed(1);
  const table = markdownTable({
    head: ['operator', 'calls', 'ms a run', 'share, %', 'GFLOP/s', 'of the roof, %'],
    rows: [...lines.filter(isShown), ...others].map((line) => [
      line.op,
      String(rounded(line.calls, 1)),
      line.ms.toFixed(2),
      percent(line.share),
      line.gflops_per_s?.toFixed(1) ?? '–',
      line.roof_share === undefined ? '–' : percent(line.roof_share),
    ]),
  });
  const { runs, milliseconds } = profile;
  const head = `${name}: ${milliseconds.toFixed(2)} ms a run, ${runs} runs (recorded, which slows them down)`;
  return `\n${head}; roof ${roof.toFixed(1)} GFLOP/s\n${table}`;
}

import { InputError } from '../../errors.ts';
import { type Sweep, type SweepPoint, selectPoints } from '../load.ts';
import { type PointState, pointState } from '../point-state.ts';

/** What a backend is asked to hand over. */
export interface SubmitRequest {
  readonly sweep: Sweep;
  /** `--only`: names of points, with `*` and `?`; none for all. */
  readonly only: readonly string[];
  /** `--rerun failed` */
  readonly rerunFailed: boolean;
}

/** A point with how it stands on disk. */
export interface FoundPoint {
  readonly point: SweepPoint;
  readonly state: PointState['state'];
}

/** The selected points of a sweep with how they stand on disk. */
export async function surveyPoints({
  sweep,
  only,
}: Omit<SubmitRequest, 'rerunFailed'>): Promise<FoundPoint[]> {
  return Promise.all(
    selectPoints(sweep, only).map(async (point) => ({ point, state: (await pointState(point)).state })),
  );
}

/** The points that have to be worked on: neither done nor worked on now, and failed ones only where asked for. */
export const duePoints = (found: readonly FoundPoint[], rerunFailed: boolean): SweepPoint[] =>
  found.flatMap(({ point, state }) =>
    state === 'done' || state === 'running' || (state === 'failed' && !rerunFailed) ? [] : [point],
  );

/** `3 done, 1 failed` */
export function countStates(found: readonly FoundPoint[]): string {
  const counts = new Map<string, number>();
  for (const { state } of found) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

/** Options of a backend as they were given: `name=value` each. */
export type BackendOptions = ReadonlyMap<string, string>;

/**
 * Reads `--slurm-option` and `--kubernetes-option`.
 * @param flag for messages
 * @throws InputError `SWEEP_BACKEND_OPTION` with every fault
 */
export function parseBackendOptions(flag: string, given: readonly string[]): BackendOptions {
  const options = new Map<string, string>();
  const faults: string[] = [];
  for (const one of given) {
    const [, name, value] = /^([a-zA-Z][a-zA-Z0-9-]*)(?:=(.*))?$/s.exec(one) ?? [];
    if (name === undefined) faults.push(`"${one}" is not name=value`);
    else if (/\p{Cc}/u.test(value ?? ''))
      faults.push(`${name} has a line break or another control sign in it`);
    else if (options.has(name)) faults.push(`${name} is given twice`);
    else options.set(name, value ?? '');
  }
  if (faults.length > 0) throw optionError(flag, faults);
  return options;
}

/** @returns InputError `SWEEP_BACKEND_OPTION` */
export const optionError = (flag: string, faults: readonly string[]): InputError =>
  new InputError('SWEEP_BACKEND_OPTION', `${flag}: ${faults.join('; ')}. Nothing was submitted.`);

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { featureSets } from './effective.ts';
import type { SweepPoint } from './load.ts';

/** A run writes its `config.yaml` when the features of its samples are ready, just before the first step. */
const isPrepared = ({ folder }: SweepPoint): boolean =>
  statSync(join(folder, 'config.yaml'), { throwIfNoEntry: false }) !== undefined;

/**
 * The points that wait, in an order that computes features once: while a point computes features that no point has read
 * yet, those that need the same ones wait for it.
 */
export class PointQueue {
  readonly #waiting: SweepPoint[];
  readonly #keys: ReadonlyMap<string, readonly string[]>;
  /** Points whose features are there, or are known to be. */
  readonly #ready = new Set<string>();

  /** @param all every point of the sweep: those that ran before have left features, too */
  constructor(waiting: readonly SweepPoint[], all: readonly SweepPoint[]) {
    this.#waiting = [...waiting];
    this.#keys = new Map(all.map((point) => [point.id, featureSets(point.config).map(({ key }) => key)]));
    for (const point of all) this.#look(point);
  }

  get length(): number {
    return this.#waiting.length;
  }

  add(point: SweepPoint): void {
    this.#waiting.push(point);
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  #look(point: SweepPoint): void {
    if (isPrepared(point)) for (const key of this.#keys.get(point.id)!) this.#ready.add(key);
  }

  /**
   * Takes the next point that need not wait for features that a running one computes.
   * @returns undefined where there is none, or all have to wait
   */
  take(running: readonly SweepPoint[]): SweepPoint | undefined {
    for (const point of running) this.#look(point);
    const missing = (point: SweepPoint) => this.#keys.get(point.id)!.filter((key) => !this.#ready.has(key));
    const beingComputed = new Set(running.flatMap(missing));
    const place = this.#waiting.findIndex((point) => !missing(point).some((key) => beingComputed.has(key)));
    return place === -1 ? undefined : this.#waiting.splice(place, 1)[0];
  }
}

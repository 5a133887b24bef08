import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { locateMmla, readMmlaTask } from '../../../src/data/mmla/locate.ts';
import { storedAnswer, storedPrompt } from '../../../src/data/mmla/prompts.ts';
import { readGold } from '../../../src/data/mmla/read-file.ts';
import type { MmlaSplit, MmlaTaskKey } from '../../../src/data/mmla/tasks.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';

const root = publishedFiles.mmla;

const expected: Partial<
  Record<MmlaTaskKey, { rows: Record<MmlaSplit, number>; sha256: string; labels: Record<string, number> }>
> = {
  MIntRec: {
    rows: { train: 1334, dev: 445, test: 445 },
    sha256: 'ca3499561909',
    labels: {
      ...{ inform: 57, complain: 57, praise: 43, apologise: 27, advise: 25, thank: 25, criticize: 23 },
      ...{ arrange: 22, introduce: 21, care: 19, comfort: 18, leave: 17, prevent: 15, taunt: 12, greet: 12 },
      ...{ agree: 12, joke: 10, oppose: 10, 'ask for help': 10, flaunt: 10 },
    },
  },
  'Ch-sims': {
    rows: { train: 2713, dev: 644, test: 1031 },
    sha256: 'fba876042854',
    labels: { negative: 487, positive: 422, neutral: 122 },
  },
  MUStARD: {
    rows: { train: 414, dev: 138, test: 138 },
    sha256: '4f7387ab1891',
    labels: { sarcastic: 69, sincere: 69 },
  },
};

describe.skipIf(isMissing('published files of MMLA (AFFECTGPT_MMLA)', root))(
  'the published files of ms-swift',
  () => {
    it.each(Object.keys(expected) as MmlaTaskKey[])('of %s', async (key) => {
      const task = mmlaTask(key);
      const { rows, sha256, labels } = expected[key]!;
      const { test } = await locateMmla(root, task);
      expect(
        createHash('sha256')
          .update(await readFile(test!))
          .digest('hex')
          .slice(0, 12),
      ).toBe(sha256);

      const { records, faults } = await readMmlaTask(root, task);
      expect(faults).toEqual([]);
      for (const [split, count] of Object.entries(rows)) {
        expect(records.filter((record) => record.split === split)).toHaveLength(count);
      }
      const counts: Record<string, number> = {};
      for (const { label } of await readGold(test!, task)) counts[label] = (counts[label] ?? 0) + 1;
      expect(counts).toEqual(labels);
      expect(new Set(records.map(({ clip }) => clip)).size).toBe(records.length);
      expect(records.every(({ id, clip }) => id === clip)).toBe(true);
    });

    it.each(Object.keys(expected) as MmlaTaskKey[])(
      'have the prompts and golds of %s, byte for byte',
      async (key) => {
        const task = mmlaTask(key);
        const files = await locateMmla(root, task);
        for (const [split, file] of Object.entries(files) as [MmlaSplit, string][]) {
          const kind = { layout: 'swift', split } as const;
          const rendered = (await readGold(file, task, split)).map(({ text, label, media }) => ({
            query: storedPrompt(task, text, kind),
            response: storedAnswer(task, label, kind),
            videos: [media],
          }));
          const stored = (await readFile(file, 'utf8')).trimEnd().split('\n');
          expect(rendered).toEqual(stored.map((line) => JSON.parse(line)));
        }
      },
    );
  },
);

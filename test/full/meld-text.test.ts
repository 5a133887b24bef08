import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { set, succeed } from '../e2e/workspace.ts';
import { publishedFiles } from '../support/published-files.ts';
import { smollm2Folder } from '../support/smollm2.ts';

/** Weighted F1 that PEFT reaches with the same recipe, mean of three seeds; and before any training. */
const reference = { trained: 0.604, untrained: 0.114 };

const model = smollm2Folder();
const { meld } = publishedFiles;
const missing = [
  ...('missing' in model ? [model.missing] : []),
  ...(existsSync(path.join(meld, 'train_sent_emo.csv'))
    ? []
    : [`AFFECTGPT_MELD: ${meld} holds no train_sent_emo.csv`]),
];
if (missing.length > 0) console.warn(`Skipped, LoRA on MELD over three seeds: ${missing.join('; ')}.`);

interface Figures {
  readonly metrics: { readonly weighted: { readonly f1: number } };
  readonly seconds: number;
}

describe.skipIf(missing.length > 0)('configs/meld-text-lora.yaml', () => {
  it('reaches what PEFT reaches, over three seeds', async () => {
    const { folder: llm } = model as { folder: string };
    const table: Record<string, number>[] = [];
    for (const seed of [1, 2, 3]) {
      const output = await mkdtemp(path.join(tmpdir(), 'meld-'));
      const settings = { 'model.llm': llm, 'data.root': meld, 'train.seed': seed, output };
      await succeed('train', '--config', 'meld-text-lora.yaml', ...set(settings));
      const f1 = async (name: string) =>
        (JSON.parse(await readFile(path.join(output, name), 'utf8')) as Figures).metrics.weighted.f1;
      table.push({ seed, before: await f1('evaluation-before.json'), after: await f1('evaluation.json') });
      await rm(output, { recursive: true });
    }
    console.table(table);
    for (const { before } of table) expect(Math.abs(before! - reference.untrained)).toBeLessThan(0.005);
    const mean = table.reduce((sum, { after }) => sum + after!, 0) / table.length;
    expect(Math.abs(mean - reference.trained)).toBeLessThanOrEqual(0.03);
  });
});

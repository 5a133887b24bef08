import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../../src/engine/engines.ts';
import {
  type LocalExtractorOptions,
  openLocalExtractor,
} from '../../../src/eval/mer-unibench/extract-local.ts';
import { run } from '../../e2e/workspace.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { folderForFile } from '../../support/temporary-folder.ts';
import { writeTinyModels } from '../../support/tiny-models.ts';

const folder = folderForFile();
const { llm } = await writeTinyModels(path.join(folder, 'models'));

/** Changes keys of a JSON file of the language model. */
async function change(name: string, keys: Record<string, unknown>): Promise<void> {
  const file = path.join(llm, name);
  const json = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...json, ...keys }));
}

const options = async (cache: string | null, more: Partial<LocalExtractorOptions> = {}) => ({
  ...{ model: llm, option: '--llm-model', engine: await createEngine({ type: 'auto', threads: 1 }) },
  cacheFolder: cache === null ? null : path.join(folder, cache),
  notify: () => {},
  settings: { maxTokens: 12 },
  ...more,
});

const answers = ["The character's emotional state is happy, sad.", 'joyful', '<FaceHere>', '', 'joyful'].map(
  (text, i) => ({ name: `sample ${i}`, text }),
);

describe('a model that was not made to be asked', () => {
  it('is refused', async () => {
    await expect(openLocalExtractor(await options(null))).rejects.toMatchObject({
      code: 'CHAT_TEMPLATE_MISSING',
    });
    await expect(openLocalExtractor(await options(null, { model: 'nowhere' }))).rejects.toThrow(
      /--llm-model "nowhere"/,
    );
  });
});

describe('a model that was', () => {
  const template =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

  it('refuses what is longer than its positions', async () => {
    await change('tokenizer_config.json', { chat_template: template });
    await change('config.json', { max_position_embeddings: 64 });
    const { extractor, dispose } = await openLocalExtractor(await options(null));
    await expect(extractor.extract(answers, 'openset')).rejects.toThrow(
      /no usable reply about 5 texts: "sample 0": .* has positions for 64/,
    );
    await dispose();
    await change('config.json', { max_position_embeddings: 2048 });
  });

  it('is asked for words, then for the sentiment of its reply, and never twice', async () => {
    const opened = await openLocalExtractor(await options('cache'));
    expect(opened.detail).toBe(`${llm}, greedy, repetitionPenalty 1.05, maxTokens 12`);
    const found = await opened.extractor.extract(answers, 'sentiment');
    await opened.dispose();
    expect([...found.keys()]).toEqual(answers.map(({ name }) => name));
    for (const one of found.values()) {
      expect(one).toMatchObject({ openset: expect.any(String), sentiment: expect.any(String) });
    }
    // Equal answers are asked about once.
    expect(found.get('sample 4')).toEqual(found.get('sample 1'));
    expect(opened.statistics.asked).toBeLessThan(10);
    expect(opened.statistics.asked).toBeGreaterThan(4);
    const again = await openLocalExtractor(await options('cache'));
    expect(await again.extractor.extract(answers, 'sentiment')).toEqual(found);
    expect(again.statistics).toMatchObject({ asked: 0, fromCache: expect.any(Number) });
    await again.dispose();
    // The cache changes nothing.
    const fresh = await openLocalExtractor(await options(null));
    expect(await fresh.extractor.extract(answers, 'sentiment')).toEqual(found);
    await fresh.dispose();
  });

  it('draws as published where it is told to, the same under the same seed', async () => {
    const draw = async (seed: number, repetitionPenalty = 1.05) => {
      const settings = { maxTokens: 12, temperature: 5, topP: 1, seed, repetitionPenalty };
      const { extractor, dispose, detail } = await openLocalExtractor(await options(null, { settings }));
      expect(detail).toContain(`temperature 5, topP 1, seed ${seed}`);
      const found = await extractor.extract(answers.slice(0, 2), 'openset');
      await dispose();
      return found;
    };
    const one = await draw(1);
    expect(await draw(1)).toEqual(one);
    expect(await draw(2)).not.toEqual(one);
    expect(await draw(1, 2)).not.toEqual(one);
  });

  it('is used by eval mer-unibench --extractor local', async () => {
    const predictions = path.join(folder, 'answers.jsonl');
    const labels = path.join(folder, 'labels.csv');
    await writeFile(predictions, jsonLines(answers.slice(0, 2)));
    await writeFile(labels, 'name,openset\nsample 0,[happy]\nsample 1,[sad]\n');
    const cache = path.join(folder, 'command-cache');
    const argv = ['eval', 'mer-unibench', '--dataset', 'ovmerdplus', '--extractor', 'local', '--json'];
    const files = ['--predictions', predictions, '--labels', labels];
    const evaluate = () => run(...argv, ...files, '--llm-model', llm, '--llm-cache', cache);
    const { exitCode, out } = await evaluate();
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ extractor: 'local', checkpoints: [{ name: 'answers', n: 2 }] });
    const kept = (await readdir(cache, { recursive: true })).filter((name) => name.endsWith('.json'));
    expect(kept).toHaveLength(2);
    expect((await evaluate()).out).toBe(out);
    const wrong = await run(...argv, ...files, '--llm-model', llm, '--llm-url', 'http://localhost');
    expect(wrong).toMatchObject({
      exitCode: 2,
      err: expect.stringMatching(/--llm-url is of the extractor llm/),
    });
  });
});

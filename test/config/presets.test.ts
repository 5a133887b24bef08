import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { presetReference, presetsCommand } from '../../src/cli/config-presets.ts';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { mergeLayers } from '../../src/config/merge.ts';
import { presetTasks } from '../../src/config/presets/mmla-paper.ts';
import {
  deviationsOf,
  type Preset,
  presetModels,
  presets,
  readPreset,
  recipeOf,
  refusalOf,
} from '../../src/config/presets/presets.ts';
import { mmlaTaskKeys } from '../../src/data/mmla/tasks.ts';
import { folderWith, inputError } from './files.ts';

const named = (name: string): Preset => presets.find((preset) => preset.name === name)!;
const recipe = (name: string) => recipeOf(named(name))!;

/** Learning rate, warm-up ratio, batch, epochs, rank, alpha, as the paper's tables have them. */
const row = (name: string): string => {
  const { lr, warmupRatio, batchSize, epochs, rank, alpha } = recipe(name);
  return [lr.toExponential(), String(warmupRatio).replace(/^0\./, '.'), batchSize, epochs, rank, alpha].join(
    ' / ',
  );
};

/** Tables 9 to 12 of the paper where rows differ between tasks: Qwen2-VL-7B, -72B, LLaVA-Video-7B, LLaVA-OV-7B. */
const published = `
mintrec          | 1.1e-4 / .1 / 8 / 60  | 1e-4 / .1 / 4 / 20   | 2e-4 / .3 / 4 / 10 / 128 / 256 | 6 / 15
mintrec2.0       | 1.2e-4 / .3 / 16 / 30 | 1e-4 / .1 / 4 / 20   | 2e-4 / .3 / 6 / 5 / 128 / 256  | 6 / 10
meld             | 1.1e-4 / .1 / 16 / 30 | 1.1e-4 / .4 / 4 / 10 | 1e-4 / .2 / 4 / 8 / 64 / 128   | 6 / 10
iemocap          | 1e-4 / .2 / 2 / 15    | 1e-4 / .2 / 2 / 7    | 2e-4 / .2 / 6 / 8 / 128 / 256  | 6 / 10
meld-da          | 3e-4 / .1 / 8 / 50    | 1.1e-4 / .5 / 4 / 10 | 1e-4 / .2 / 4 / 8 / 64 / 128   | 6 / 10
iemocap-da       | 3e-4 / .1 / 12 / 50   | 3e-4 / .1 / 8 / 5    | 1e-4 / .2 / 4 / 8 / 64 / 128   | 4 / 10
mosi             | 1e-4 / .1 / 8 / 20    | 1e-4 / .2 / 2 / 10   | 2e-4 / .3 / 6 / 5 / 128 / 256  | 6 / 20
ch-sims          | 1.1e-4 / .1 / 12 / 30 | 1e-4 / .2 / 4 / 10   | 2e-4 / .3 / 6 / 5 / 128 / 256  | 6 / 15
ur-funny         | 1e-3 / .2 / 12 / 10   | 3e-4 / .1 / 4 / 3    | 1e-4 / .2 / 4 / 8 / 64 / 128   | 6 / 10
mustard          | 1e-3 / .2 / 2 / 10    | 4e-4 / .3 / 2 / 10   | 2e-4 / .4 / 2 / 10 / 128 / 256 | 6 / 15
annomi-client    | 3e-4 / .1 / 8 / 50    | 1.1e-4 / .5 / 4 / 10 | 1e-4 / .2 / 4 / 8 / 64 / 128   | 6 / 10
annomi-therapist | 3e-4 / .1 / 12 / 50   | 3e-4 / .1 / 8 / 5    | 1e-4 / .2 / 4 / 8 / 64 / 128   | 4 / 10`;

describe('the presets of the MMLA paper', () => {
  it('are one for each model, task and source, named by the tasks of the registry', () => {
    expect([...presetTasks]).toEqual(mmlaTaskKeys.map((key) => key.toLowerCase()));
    const withIt = ['qwen2-7b', 'llama3-8b', 'internlm2.5-7b', 'qwen2-vl-7b', 'qwen2-vl-72b'];
    const names = ['paper', 'released'].flatMap((source) =>
      presetModels.flatMap((model) => {
        const hasIt = [...withIt, 'llava-video-72b', 'minicpm-v-2.6'].includes(model);
        return [...presetTasks, ...(hasIt ? ['it'] : [])].map((task) => `${source}:${model}/${task}`);
      }),
    );
    expect(presets.map(({ name }) => name)).toEqual(names);
    expect(presets).toHaveLength(2 * (11 * 12 + 7));
    const refused = presets.filter((preset) => refusalOf(preset) !== undefined).map(({ name }) => name);
    expect(refused).toEqual(['released:qwen2-vl-72b/it', 'released:llava-ov-7b/meld-da']);
  });

  it.each(published.trim().split('\n'))('have the values of the tables: %s', (line) => {
    const [task, ...cells] = line.split('|').map((cell) => cell.trim());
    expect(row(`paper:qwen2-vl-7b/${task}`)).toBe(`${cells[0]} / 8 / 16`);
    expect(row(`paper:qwen2-vl-72b/${task}`)).toBe(`${cells[1]} / 8 / 16`);
    expect(row(`paper:llava-video-7b/${task}`)).toBe(cells[2]);
    expect(row(`paper:llava-ov-7b/${task}`)).toBe(`1e-4 / .1 / ${cells[3]} / 128 / 256`);
  });

  it('have those of the models with one row for all tasks, and of instruction tuning', () => {
    for (const task of presetTasks) {
      const isMustard = task === 'mustard';
      for (const model of ['llama3-8b', 'qwen2-7b', 'internlm2.5-7b']) {
        expect(row(`paper:${model}/${task}`)).toBe(
          isMustard ? '5e-5 / .1 / 1 / 8 / 16 / 32' : '1e-4 / .1 / 2 / 8 / 8 / 16',
        );
      }
      expect(row(`paper:videollama2-7b/${task}`)).toBe('2e-5 / .5 / 1 / 10 / 128 / 256');
      expect(row(`paper:minicpm-v-2.6/${task}`)).toBe('1e-4 / .05 / 1 / 8 / 16 / 32');
      expect(row(`paper:llava-video-72b/${task}`)).toBe(`1e-4 / .3 / 1 / ${isMustard ? 3 : 5} / 8 / 16`);
      expect(row(`paper:llava-ov-72b/${task}`)).toBe(`1e-4 / .3 / 1 / ${isMustard ? 20 : 5} / 8 / 16`);
    }
    expect(row('paper:llama3-8b/it')).toBe('5e-5 / .1 / 1 / 8 / 16 / 32');
    expect(row('paper:minicpm-v-2.6/it')).toBe('1e-4 / .05 / 1 / 5 / 16 / 32');
    expect(row('paper:llava-video-72b/it')).toBe('1e-4 / .3 / 1 / 3 / 8 / 16');
    expect(row('paper:qwen2-vl-7b/it')).toBe('1e-4 / .3 / 8 / 5 / 64 / 128');
    expect(row('paper:qwen2-vl-72b/it')).toBe('1e-4 / .3 / 2 / 3 / 64 / 128');
  });

  it('say of the released scripts what they would run', () => {
    expect(recipe('released:qwen2-7b/mosi')).toEqual({
      ...{ lr: 5e-5, warmupRatio: 0, batchSize: 1, epochs: 8, rank: 16, alpha: 32 },
      ...{ accumulation: 4, dropout: 0, clipNorm: 1, maxLength: 1024 },
    });
    // SFT and IT are swapped between the tables and the scripts.
    expect(row('released:qwen2-7b/it')).toBe(row('paper:qwen2-7b/mosi').replace('/ .1 /', '/ 0 /'));
    expect(row('released:qwen2-7b/mosi')).toBe(row('paper:qwen2-7b/it').replace('/ .1 /', '/ 0 /'));
    const steps = (model: string) =>
      presetTasks.map((task) => recipe(`released:${model}/${task}`).accumulation);
    expect(steps('qwen2-vl-7b')).toEqual([4, 8, 8, 4, 4, 4, 4, 4, 6, 2, 4, 4]);
    expect(new Set(steps('qwen2-vl-72b'))).toEqual(new Set([2]));
    const epochs = presetTasks.map((task) => recipe(`released:llava-video-72b/${task}`).epochs);
    expect(epochs).toEqual([15, 15, 15, 15, 15, 15, 1, 15, 15, 1, 15, 15]);
    expect(recipe('released:videollama2-7b/meld')).toMatchObject({ weightDecay: 0.1, maxLength: 2048 });
  });

  it('name every departure of the scripts from the paper', () => {
    expect(deviationsOf('qwen2-vl-7b', 'annomi-therapist')).toEqual([
      { field: 'lr', paper: 3e-4, released: 1e-3 },
      { field: 'warmupRatio', paper: 0.1, released: 0.2 },
      { field: 'batchSize', paper: 12, released: 8 },
      { field: 'epochs', paper: 50, released: 10 },
    ]);
    expect(deviationsOf('minicpm-v-2.6', 'meld')).toEqual([]);
    expect(deviationsOf('llava-ov-7b', 'meld-da')).toEqual([]);
    const departing = presetModels.map((model) => [
      model,
      [...presetTasks, 'it' as const].filter((task) => deviationsOf(model, task).length > 0).length,
    ]);
    expect(Object.fromEntries(departing)).toEqual({
      ...{ 'qwen2-7b': 13, 'llama3-8b': 13, 'internlm2.5-7b': 13, 'qwen2-vl-7b': 4, 'qwen2-vl-72b': 3 },
      ...{ 'llava-video-7b': 0, 'llava-ov-7b': 1, 'llava-video-72b': 12, 'llava-ov-72b': 1 },
      ...{ 'videollama2-7b': 0, 'minicpm-v-2.6': 0 },
    });
  });
});

const minimal = 'data: {manifest: clips.jsonl}\noutput: runs/x\n';
const load = (files: Record<string, string>, set: string[] = []) =>
  loadConfig({ config: 'main.yaml', set, folder: folderWith(files) });
const fault = (extend: string, set: string[] = []) => {
  const error = inputError(() => load({ 'main.yaml': `${minimal}extends: ${extend}\n` }, set));
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 2 });
  return error.message;
};

describe('a preset in a configuration', () => {
  it('stands for configuration keys that exist', () => {
    expect(readPreset('released:llava-video-7b/meld')).toEqual({
      values: {
        model: { maxLength: 3072 },
        lora: { rank: 64, alpha: 128, dropout: 0.05 },
        train: {
          ...{ batchSize: 4, epochs: 8, accumulation: 6 },
          optimizer: { lr: 1e-4, weightDecay: 0 },
          schedule: { type: 'warmup-cosine', warmupRatio: 0.2 },
        },
      },
    });
    const usable = presets.filter((preset) => refusalOf(preset) === undefined);
    expect(usable).toHaveLength(276);
    for (const { name } of usable) {
      const { values } = readPreset(name) as { values: Record<string, unknown> };
      const config = parseConfig(mergeLayers(values, { data: { manifest: 'a.jsonl' }, output: 'runs/x' }));
      expect(config.train.epochs, name).toBe(recipe(name).epochs);
      expect(config.train.schedule).toMatchObject({ warmupRatio: recipe(name).warmupRatio });
    }
  });

  it('is extended by name, and gives way to the file', () => {
    const files = { 'main.yaml': `extends: paper:qwen2-7b/mintrec\n${minimal}lora: {rank: 4}\n` };
    const { config, sources } = load(files);
    expect(config.lora).toMatchObject({ rank: 4, alpha: 16, dropout: 0.05 });
    expect(config.train).toMatchObject({ batchSize: 2, accumulation: 1, epochs: 8 });
    expect(config.train.optimizer.lr).toBe(1e-4);
    // It comes with the package, as extended files of the package do.
    expect([...sources.keys()]).toEqual(['lora.rank', 'data.manifest', 'output']);
  });

  it('stands in lists, later names winning over earlier ones', () => {
    const base = `${minimal}lora: {rank: 3, dropout: 0.5}\ntrain: {accumulation: 7}\n`;
    const lora = (extend: string) =>
      load({ 'main.yaml': `extends: ${extend}`, 'base.yaml': base, 'two.yaml': 'lora: {rank: 5}' }).config;
    const preset = 'paper:qwen2-7b/mintrec';
    expect(lora(`[base.yaml, ${preset}]`)).toMatchObject({
      lora: { rank: 8, alpha: 16, dropout: 0.5 },
      train: { accumulation: 7, batchSize: 2 },
    });
    expect(lora(`[${preset}, base.yaml]`).lora).toMatchObject({ rank: 3, alpha: 16 });
    expect(lora(`[base.yaml, ${preset}, two]`).lora.rank).toBe(5);
    expect(lora(`[base.yaml, ${preset}, released:qwen2-7b/it]`).train.accumulation).toBe(4);
  });

  it('is given on the command line, in order with other keys', () => {
    const { config, sources } = load({ 'main.yaml': `${minimal}lora: {rank: 4}\n` }, [
      'lora.alpha=1',
      'extends=paper:minicpm-v-2.6/it',
      'lora.rank=5',
    ]);
    expect(config.lora).toMatchObject({ rank: 5, alpha: 32 });
    expect(config.train.epochs).toBe(5);
    expect(sources.get('lora.alpha')).toBe('--set extends=paper:minicpm-v-2.6/it');
    expect(sources.get('lora.rank')).toBe('--set lora.rank=5');
  });

  it('is refused by name where its source is corrupt', () => {
    expect(fault('released:llava-ov-7b/meld-da')).toContain(
      'main.yaml:3  extends: the preset "released:llava-ov-7b/meld-da" cannot be used: its entry in the release is corrupt: gradient_accumulation_steps is 0.0001',
    );
    expect(fault('released:qwen2-vl-72b/it')).toContain('holds a merge of adapters');
    expect(fault('paper:llava-ov-7b/it')).toContain('LLaVA-OV-7B was not trained on all tasks at once');
  });

  it('is told apart from what has no such name', () => {
    expect(fault('paper:qwen2-7b/mintrek')).toContain(
      'there is no preset "paper:qwen2-7b/mintrek"; did you mean "paper:qwen2-7b/mintrec"?',
    );
    expect(fault('paper:qwen2-7b/xyz')).toContain('; tasks of qwen2-7b are mintrec, mintrec2.0, meld,');
    expect(fault('paper:lava-ov-7b/mosi')).toContain('did you mean "paper:llava-ov-7b/mosi"?');
    expect(fault('paper:x')).toContain('; models are qwen2-7b, llama3-8b,');
    expect(fault('papr:qwen2-7b/mosi')).toContain('did you mean the preset "paper:qwen2-7b/mosi"?');
    expect(fault('[]')).toContain('expected the name of a configuration file or of a preset, or a list');
    expect(fault('[paper:qwen2-7b/mosi, 3]')).toContain('expected the name of a configuration file');
    const wrong = fault('prefusion-attn', ['extends=prefusion-attn', 'extends=paper:qwen2-7b/x']);
    expect(wrong).toContain('--set extends=prefusion-attn  extends: expected the name of a preset, such as');
    expect(wrong).toContain('--set extends=paper:qwen2-7b/x  extends: there is no preset');
  });

  it('and files that are extended too often are refused, circles of lists as well', () => {
    const lists = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [`f${i}.yaml`, `extends: [f${i + 1}, f${i + 1}]`]),
    );
    const error = inputError(() => load({ 'main.yaml': 'extends: f0', ...lists, 'f20.yaml': minimal }));
    expect(error.message).toMatch(/extends: more than 64 files/);
    expect(error.message.length).toBeLessThan(1000);
    const circle = { 'main.yaml': 'extends: [a, b]', 'a.yaml': minimal, 'b.yaml': 'extends: [a, main]' };
    expect(inputError(() => load(circle)).message).toContain('circle: main.yaml -> b.yaml -> main.yaml');
    expect(load({ ...circle, 'b.yaml': 'extends: a' }).config.output).toBe('runs/x');
  });
});

/** What the command prints. */
function printed(args: { filter?: string; json?: boolean; markdown?: boolean }): string {
  const texts: string[] = [];
  const { write } = process.stdout;
  process.stdout.write = (text: string | Uint8Array) => texts.push(String(text)) > 0;
  try {
    presetsCommand.handler({ filter: '', json: false, markdown: false, ...args, _: [], $0: '' });
  } finally {
    process.stdout.write = write;
  }
  return texts.join('');
}

describe('affectgpt config presets', () => {
  it('lists values, departures and notes of what was asked for', () => {
    const text = printed({ filter: 'llava-ov-7b/' });
    expect(text.split('\n').filter((line) => /^\| (paper|released):/.test(line))).toHaveLength(24);
    expect(text).toMatch(/\| released:llava-ov-7b\/annomi-therapist +\|.*\| batch 4 → 6 +\|/);
    expect(text).toContain(
      '`released:llava-ov-7b/meld-da` cannot be used: its entry in the release is corrupt',
    );
    expect(printed({ filter: 'PAPER:Qwen2-7B/mosi' })).not.toContain('unlike the paper');
    expect(inputError(() => printed({ filter: 'gpt' }))).toMatchObject({ code: 'PRESETS_NONE', exitCode: 2 });
  });

  it('prints all of it as JSON', () => {
    const all = JSON.parse(printed({ json: true }));
    expect(all).toHaveLength(presets.length);
    expect(all.find(({ name }: { name: string }) => name === 'released:llava-ov-72b/mustard')).toMatchObject({
      ...{ source: 'released', model: 'llava-ov-72b', task: 'mustard', refused: null },
      config: { lora: { rank: 8, alpha: 16, dropout: 0.05 }, train: { epochs: 20 } },
      deviations: [{ key: 'train.schedule.warmupRatio', paper: 0.3, released: 0.2 }],
    });
    const refused = all.filter(({ config }: { config: unknown }) => config === null);
    expect(refused.map(({ refused: why }: { refused: string }) => why.slice(0, 3))).toEqual(['its', 'its']);
  });

  it('prints the reference that docs/mmla-training.md holds (affectgpt config presets --markdown)', () => {
    expect(printed({ markdown: true })).toBe(presetReference());
    expect(readFileSync('docs/mmla-training.md', 'utf8')).toContain(`\n${presetReference()}`);
  });
});

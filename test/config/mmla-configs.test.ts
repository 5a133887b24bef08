import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { PLACEHOLDERS_OF_INPUTS, renderTemplate } from '../../src/config/template.ts';
import { mmlaTaskKeys, mmlaTasks } from '../../src/data/mmla/tasks.ts';
import { readRecords, recordsLocation, splitRecords } from '../../src/data/read-records.ts';
import { forecastFromShapes } from '../../train/dry-run/forecast.ts';
import { withSteps } from '../../train/epochs.ts';
import { planValidation } from '../../train/validation/plan.ts';

const names = readdirSync('configs')
  .filter((name) => name.startsWith('mmla-'))
  .map((name) => name.replace('.yaml', ''));
const load = (config: string, set: string[] = []) => loadConfig({ config, set, folder: '/' }).config;
/** Committed synthetic files, of a few rows a split. */
const onFiles = ['data.root=test/fixtures/mmla/release', 'train.validation.every=1'];
const headOf = (name: string): string[] =>
  readFileSync(`configs/${name}.yaml`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('# '));

/** Words of a command line, as a shell divides this one. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);

describe('the configurations of MMLA', () => {
  it('are one for each task, one for all of them, and one for each kind of input', () => {
    const single = mmlaTaskKeys.map((key) => `mmla-sft-${key.toLowerCase()}`);
    const others = ['base', 'it', 'audio', 'frames', 'faces', 'text-small'].map((name) => `mmla-${name}`);
    expect(names.sort()).toEqual([...single, ...others].sort());
    expect(names).toHaveLength(18);
  });

  it.each(names)('%s can be run as its head says', (name) => {
    const commands = headOf(name).flatMap((line) => /^# (affectgpt train .*)$/.exec(line)?.[1] ?? []);
    expect(commands.length).toBeGreaterThan(0);
    const outputs = commands.map((command) => {
      const [program, action, option, file, ...rest] = wordsOf(command);
      expect([program, action, option]).toEqual(['affectgpt', 'train', '--config']);
      const set = rest.filter((_, i) => i % 2 === 1);
      expect(rest.filter((_, i) => i % 2 === 0)).toEqual(set.map(() => '--set'));
      const { data, output } = load(file!, set);
      expect(data).toMatchObject({ dataset: 'mmla', labelType: 'own', trainSplit: 'train' });
      return output;
    });
    expect(outputs[0]).toBe(`runs/${name}`);
    expect(new Set(outputs).size).toBe(outputs.length);
  });

  it('say how all tasks are evaluated after training on them', () => {
    const others = headOf('mmla-it').filter((line) => /^# affectgpt (?!train)/.test(line));
    const { output } = load('mmla-it');
    expect(others.map((line) => wordsOf(line).slice(2))).toEqual([
      [
        ...['eval', 'mmla', '--checkpoint', `${output}/checkpoints/best`],
        ...['--data-root', '/data/MMLA-Datasets', '--output', `${output}/mmla`],
      ],
      ['leaderboard', 'mmla', `${output}/mmla`, '--mode', 'it'],
    ]);
  });

  it.each(mmlaTasks)('train $key alone with the values that the paper has for decoders', (task) => {
    const name = `mmla-sft-${task.key.toLowerCase()}`;
    const { data, lora, model, train } = load(name);
    expect(data.mmla).toMatchObject({ tasks: [task.key], prompt: 'fixed', weights: 'proportional' });
    const isMustard = task.key === 'MUStARD';
    expect(lora).toMatchObject(isMustard ? { rank: 16, alpha: 32 } : { rank: 8, alpha: 16 });
    expect(train).toMatchObject({ batchSize: isMustard ? 1 : 2, accumulation: 8, epochs: 8, seed: 42 });
    expect(train.optimizer.lr).toBe(isMustard ? 5e-5 : 1e-4);
    expect(train.schedule).toMatchObject({ type: 'warmup-cosine', warmupRatio: 0.1, warmupSteps: 0 });
    // Once an epoch.
    const steps = Math.ceil(task.counts.train / (train.batchSize * train.accumulation));
    expect(train.validation).toMatchObject({ every: steps, split: 'dev', metric: 'taskAccuracy' });
    expect(train.checkpoint.every).toBe(steps);
    expect(model).toMatchObject({ llm: 'Qwen/Qwen2.5-0.5B-Instruct', inputs: 'textonly' });
    const [first] = headOf(name);
    expect(first).toContain(`# ${task.title} of MMLA (${task.labels.length} ${task.dimension}`);
    expect(first).toContain(`${task.counts.train.toLocaleString('en')} training samples`);
    expect(/Mandarin/.test(first!)).toBe(task.language === 'Mandarin');
  });

  it('tune on all tasks in their order, without clips that are held out elsewhere', () => {
    const { data, lora, train } = load('mmla-it');
    expect(data.mmla).toMatchObject({
      ...{ tasks: mmlaTaskKeys, excludeSharedClips: true, weights: 'proportional' },
    });
    expect(train).toMatchObject({ batchSize: 1, accumulation: 8, epochs: 8, optimizer: { lr: 5e-5 } });
    expect(lora).toMatchObject({ rank: 16, alpha: 32 });
    const published = mmlaTasks.reduce((sum, { counts }) => sum + counts.train, 0);
    expect(headOf('mmla-it')[0]).toContain(`${published.toLocaleString('en')} training samples`);
  });

  it('word one turn of a chat around the question and what is given besides', () => {
    const inputs = names.map((name) => {
      const { data, model } = load(name);
      const prompt = renderTemplate(data.template!.prompt, { question: 'Q', subtitle: 'S' });
      expect(prompt).toMatch(/^<\|im_start\|>(system\n[^\n]+<\|im_end\|>\n<\|im_start\|>)?user\n/);
      expect(prompt).toMatch(/(^|\n)[^\n]*Q<\|im_end\|>\n<\|im_start\|>assistant\n$/);
      expect(data.template).toMatchObject({ answer: '{label}', begin: false, end: 'eos' });
      for (const placeholder of PLACEHOLDERS_OF_INPUTS[model.inputs]) expect(prompt).toContain(placeholder);
      return [name, model.inputs];
    });
    expect(inputs.filter(([, mode]) => mode !== 'textonly').sort()).toEqual([
      ['mmla-audio', 'audio_text'],
      ['mmla-faces', 'multiface_audio_face_text'],
      ['mmla-frames', 'multiframe_audio_frame_text'],
    ]);
  });

  it.each(names)(
    '%s reads files of the release, and can be divided into steps and validated',
    async (name) => {
      const config = load(name, onFiles);
      const location = recordsLocation(config);
      const divided = splitRecords(await readRecords(location), config.data.trainSplit);
      expect(divided.train.length).toBeGreaterThan(0);
      expect(planValidation(config, divided, location)!.records.length).toBeGreaterThan(0);
      const { steps, batchSize, accumulation } = withSteps(config, divided.train).train;
      const anEpoch = Math.ceil(divided.train.length / (batchSize * accumulation));
      expect(steps).toBe(anEpoch * config.train.epochs!);
    },
  );

  it.each(['mmla-it', 'mmla-faces'])('%s passes a dry run from shapes alone', async (name) => {
    const { data, parameters } = await forecastFromShapes(load(name, onFiles));
    expect(data.countedFrom).toBe('records');
    expect(data.validated).toBeGreaterThan(0);
    // Rank 16 on the seven projections of 24 blocks; pooling, pre-fusion and projectors of faces come on top.
    expect(parameters.trainable).toBeGreaterThan(name === 'mmla-it' ? 8_000_000 : 11_000_000);
  });
});

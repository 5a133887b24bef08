import { existsSync } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ffmpeg } from '../data/make-media.ts';
import { makeWorkspace, run, set } from './workspace.ts';

const { path, config, rows, writeManifest } = await makeWorkspace();
const output = path('refused');
const clip = (name: string) => path('clips', 'videos', `${name}.mp4`);
const [first, second, third] = rows as [(typeof rows)[0], (typeof rows)[0], (typeof rows)[0]];

/** Trains, which has to be refused: exit code 2, one message on standard error, nothing written. Returns the message. */
async function refusal(settings: Record<string, unknown>): Promise<string> {
  const argv = ['train', '--config', config, ...set({ output, ...settings })];
  const { exitCode, out, err } = await run(...argv);
  const message = err.slice(Math.max(err.indexOf('error['), 0));
  expect(message).toMatch(/^error\[[A-Z_]+\]: .+\n$/s);
  expect(message).not.toMatch(/UNEXPECTED|\n\n|\n {4}at |(?<!received )undefined|\[object/);
  expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
  expect(existsSync(output)).toBe(false);
  return message;
}

/** As `refusal`, for a manifest with these rows. */
const refusalOf = async (changed: readonly object[], settings: Record<string, unknown> = {}) =>
  refusal({ 'data.manifest': await writeManifest('bad.jsonl', changed), ...settings });

beforeAll(async () => {
  await writeFile(clip('empty'), '');
  await writeFile(clip('text'), 'This is not a film.\n'.repeat(40));
  await ffmpeg('-i', clip('train-0001'), '-c', 'copy', '-an', clip('silent'));
  await ffmpeg('-i', clip('train-0001'), '-c', 'copy', '-vn', clip('unseen'));
  await ffmpeg('-i', clip('train-0001'), '-c', 'copy', clip('cut'));
  await truncate(clip('cut'), 2000);
});

describe('clips', () => {
  it('that are not there are named with their rows, all at once', async () => {
    const message = await refusalOf([
      first,
      { ...second, video: 'videos/lost.mp4' },
      { ...third, video: 'videos/gone.mp4' },
      { ...rows[3], video: 'videos/empty.mp4' },
    ]);
    expect(message).toMatch(/^error\[SAMPLES_UNUSABLE\]: 3 of 4 samples cannot be used/);
    for (const [row, file] of [
      [2, 'lost'],
      [3, 'gone'],
      [4, 'empty'],
    ]) {
      const name = rows[(row as number) - 1]!.name;
      expect(message).toMatch(new RegExp(`bad\\.jsonl, row ${row}: sample "${name}": [^;]*${file}\\.mp4`));
    }
    expect(message).toContain('has 0 bytes');
  });

  it.each([
    ['text', 'MEDIA_UNREADABLE', /text\.mp4 cannot be read/],
    ['cut', 'MEDIA_UNREADABLE', /cut\.mp4 cannot be read/],
    ['silent', 'AUDIO_MISSING', /silent\.mp4 has no audio track.*choose inputs without audio/],
    ['unseen', 'VIDEO_MISSING', /unseen\.mp4 has no video stream/],
  ])('that hold something else: %s', async (file, code, message) => {
    const said = await refusalOf([first, { ...second, video: `videos/${file}.mp4` }]);
    expect(said).toMatch(new RegExp(`^error\\[${code}\\]: .*bad\\.jsonl, row 2, sample "${second.name}": `));
    expect(said).toMatch(message);
  });

  it('that are bad are named together', async () => {
    const said = await refusalOf([
      { ...first, video: 'videos/text.mp4' },
      { ...second, video: 'videos/silent.mp4' },
      third,
    ]);
    expect(said).toMatch(/^error\[SAMPLES_UNUSABLE\]: 2 of 3/);
    expect(said).toMatch(/row 1, .*text\.mp4/);
    expect(said).toMatch(/row 2, .*silent\.mp4 has no audio track/);
  });

  it('may be left out by data.onBadSample', async () => {
    const manifest = await writeManifest('skipped.jsonl', [
      { ...first, video: 'videos/lost.mp4' },
      { ...second, video: 'videos/text.mp4' },
      third,
    ]);
    const settings = { 'data.manifest': manifest, 'data.onBadSample': 'skip', 'train.steps': 1 };
    const training = (more: Parameters<typeof set>[0]) =>
      run('train', ...['--config', config], ...set({ ...settings, output: path('skipped'), ...more }));
    const refused = await training({});
    expect(refused.exitCode).toBe(2);
    expect(refused.err).toMatch(
      /^error\[SAMPLES_SKIPPED_TOO_MANY\]: 2 of 3 .*badSampleLimit 0\.05 allows 1 /m,
    );
    expect(existsSync(path('skipped'))).toBe(false);
    const { exitCode, err } = await training({ 'data.badSampleLimit': 0.5 });
    expect(err).toMatch(/^Skipped: .*row 1: .*lost\.mp4$/m);
    expect(err).toMatch(/^Skipped: .*row 2, .*text\.mp4/m);
    expect(exitCode).toBe(0);
    const log = await readFile(join(path('skipped'), 'log.txt'), 'utf8');
    const lines = (await readFile(join(path('skipped'), 'skipped.jsonl'), 'utf8')).trim().split('\n');
    const skipped = lines.map((line) => JSON.parse(line) as { name: string; reasons: string[] });
    expect(skipped.map(({ name }) => name)).toEqual([first.name, second.name]);
    for (const { name, reasons } of skipped) {
      expect(log).toContain(`Skipped sample "${name}": ${reasons.join('; ')}`);
    }
  });
});

describe('manifests', () => {
  it('are refused with every bad row', async () => {
    const message = await refusalOf([
      first,
      { name: 'nothing', labels: ['sad'] },
      { ...second, name: first.name },
      { ...third, titel: 'x' },
      { video: 'videos/train-0001.mp4' },
    ]);
    expect(message).toMatch(/^error\[MANIFEST_INVALID\]: .*bad\.jsonl has faults/);
    expect(message).toContain('row 2: has none of video, audio, face and subtitle');
    expect(message).toContain(`row 3: the name "${first.name}" is already that of row 1`);
    expect(message).toContain('row 4: unknown key "titel"');
    expect(message).toContain('row 5: has no name');
  });

  it('that are no manifests are refused', async () => {
    expect(await refusal({ 'data.manifest': clip('text') })).toContain('error[MANIFEST_KIND]');
    await writeFile(path('clips', 'prose.jsonl'), 'Once upon a time\n');
    const prose = await refusal({ 'data.manifest': path('clips', 'prose.jsonl') });
    expect(prose).toMatch(/error\[JSONL_NOT_JSON\]: .*prose\.jsonl, row 1/);
    expect(await refusalOf([])).toContain('error[MANIFEST_EMPTY]');
  });

  it('have to give what the inputs and the label type ask for', async () => {
    const { video: _, ...unseen } = second;
    expect(await refusalOf([first, unseen])).toMatch(
      /row 2: .*gives no video, and the configured inputs need frames/,
    );
    const { labels: _labels, description: _description, ...unlabelled } = second;
    expect(await refusalOf([first, unlabelled])).toMatch(
      /row 2: .*has no answer for data\.labelType "hybird"/,
    );
    const long = { ...second, subtitle: 'and then again '.repeat(400) };
    expect(await refusalOf([first, long])).toMatch(
      new RegExp(`row 2: Sample "${second.name}" has \\d+ tokens .*more than model\\.maxLength 512`),
    );
    const spelt = { ...second, subtitle: 'She said <AudioHere> to me.' };
    expect(await refusalOf([first, spelt])).toMatch(/row 2: .*<AudioHere>.*take it out/);
  });

  it('without a sample of the split are refused with the splits that they have', async () => {
    const message = await refusal({ 'data.trainSplit': 'trian' });
    expect(message).toMatch(/^error\[SAMPLES_NONE\]: .*manifest\.jsonl.*"trian"/);
    expect(message).toMatch(/train \(5\).*test \(1\)/);
  });
});

describe('configurations', () => {
  it('are refused with every error at once', async () => {
    await writeFile(
      path('wrong.yaml'),
      'model: { frmes: 8 }\ntrain: { steps: many }\nlora: { rank: 0 }\nengine: { type: gpu }\n',
    );
    const { exitCode, out, err } = await run(
      'train',
      '--config',
      path('wrong.yaml'),
      '--set',
      'trian.steps=1',
    );
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' });
    expect(err).toMatch(/^error\[CONFIG_INVALID\]: /);
    expect(err).toMatch(/wrong\.yaml:1 {2}model\.frmes: unknown key; did you mean "frames"\?/);
    expect(err).toMatch(/wrong\.yaml:2 {2}train\.steps: expected whole number/);
    expect(err).toMatch(/wrong\.yaml:3 {2}lora\.rank/);
    expect(err).toMatch(/wrong\.yaml:4 {2}engine\.type/);
    expect(err).toMatch(/--set trian\.steps=1 .*did you mean "train"\?/);
    expect(err).toMatch(/output: /);
    expect(err).toMatch(/neither "dataset" .* nor "manifest"/);
    expect(err).not.toContain('    at ');
  });
});

describe('what is missing', () => {
  it('is said at once, models and data, with the command that gets each', async () => {
    const message = await refusal({
      'model.llm': 'Qwen/Qwen2.5-7B-Instruct-missing',
      'model.audioEncoder.model': path('models', 'nowhere'),
      'data.manifest': path('clips', 'nowhere.jsonl'),
    });
    expect(message).toMatch(/^error\[NOT_READY\]: /);
    expect(message).toContain('affectgpt pull Qwen/Qwen2.5-7B-Instruct-missing');
    expect(message).toMatch(/model\.audioEncoder\.model ".*nowhere": give a folder that exists/);
    expect(message).toContain('nowhere.jsonl');
    expect(message).not.toContain('visualEncoder');
  });

  it('names published data sets and clips beside the models', async () => {
    const dataset = await refusal({
      'model.llm': 'Qwen/missing',
      'data.dataset': 'mercaptionplus',
      'data.manifest': null,
      'data.root': path('nowhere'),
    });
    expect(dataset).toMatch(
      /affectgpt pull Qwen\/missing[\s\S]*track2_train_mercaptionplus\.csv[\s\S]*https:\/\//,
    );
    const clips = await refusalOf([{ ...first, video: 'videos/lost.mp4' }], { 'model.llm': 'Qwen/missing' });
    expect(clips).toMatch(/affectgpt pull Qwen\/missing[\s\S]*row 1: .*lost\.mp4/);
  });

  it('includes files of a model folder', async () => {
    const message = await refusal({ 'model.llm': path('clips') });
    expect(message).toMatch(/error\[FILE_NOT_FOUND\]: .*clips\/config\.json/);
    const swapped = await refusal({ 'model.visualEncoder.model': path('models', 'audio') });
    expect(swapped).toMatch(/error\[ENCODER_CONFIG_INVALID\]: .*models\/audio: .*config\.json.*"hubert"/);
  });
});

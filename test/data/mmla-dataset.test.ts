import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { mmlaSchema } from '../../src/config/mmla.ts';
import { readDataset } from '../../src/data/datasets.ts';
import { mmlaTaskKeys } from '../../src/data/mmla/tasks.ts';
import { writeReleasedTask } from '../support/mmla-files.ts';
import { folderForFile } from '../support/temporary-folder.ts';

const root = folderForFile();

writeReleasedTask(root, 'MELD', {
  train: ['0_1\tWell?\tneutral', '0_2\tYes!\tjoy', '3_0\tNo.\tanger'],
  dev: ['1039_0\tOh.\tsurprise'],
  test: ['1153_0\tI see.\tsadness'],
});
writeReleasedTask(root, 'MELD-DA', {
  train: ['3_0\tNo.\tdisagreement'],
  dev: ['0_1\tWell?\tquestion'],
  test: ['0_2\tYes!\tanswer', '4_4\tPlease go.\tcommand'],
});

const notices: string[] = [];
const read = (settings: object, folder = root) => {
  notices.length = 0;
  return readDataset('mmla', folder, { mmla: mmlaSchema.parse(settings) }, (message) => {
    notices.push(message);
  });
};
const both = { tasks: ['MELD', 'MELD-DA'] };

describe('the data set "mmla"', () => {
  it('gives each sample its question and its answer', async () => {
    const samples = await read({ tasks: ['MELD'], prompt: 'mmla-train' });
    expect(samples.map(({ name, split }) => [name, split])).toEqual([
      ['MELD_0_1', 'train'],
      ['MELD_0_2', 'train'],
      ['MELD_3_0', 'train'],
      ['MELD_1039_0', 'dev'],
      ['MELD_1153_0', 'test'],
    ]);
    expect(samples[1]).toMatchObject({
      subtitle: 'Yes!',
      labels: ['joy'],
      task: 'MELD',
      answer: 'emotion: joy',
      origin: `${join(root, 'MELD', 'train.tsv')}, row 3`,
    });
    expect(samples[1]!.question).toBe(
      'You are presented with a video in which the speaker says: Yes! Based on the text, video, and audio content, what is the emotion of this speaker?\nThe candidate labels for emotion are: [neutral, surprise, fear, sadness, joy, anger, disgust]. ' +
        "Respond in the format: 'emotion: [label]'. Only one label should be provided.",
    );
    expect(samples[1]).not.toHaveProperty('video');
    expect(notices).toEqual(['MMLA: MELD 3 train, 1 dev, 1 test.']);
  });

  it('leaves clips out that are held out under another task, and says how many', async () => {
    const samples = await read(both);
    const trained = samples.filter(({ split }) => split === 'train').map(({ name }) => name);
    expect(trained).toEqual(['MELD_3_0', 'MELD-DA_3_0']);
    expect(samples).toHaveLength(7);
    expect(notices).toEqual([
      'MMLA: MELD 3 train, 1 dev, 1 test; MELD-DA 1 train, 1 dev, 2 test.',
      expect.stringMatching(/^MMLA: 2 of 4 training samples are left out/),
    ]);
    expect(await read({ ...both, excludeSharedClips: false })).toHaveLength(9);
    expect(notices).toHaveLength(1);
  });

  it('maps videos, and expects one where it is not there', async () => {
    const videos = join(root, 'videos', 'MELD', 'video');
    await mkdir(videos, { recursive: true });
    await writeFile(join(videos, 'MELD_0_1.mp4'), 'video');
    const samples = await read({ tasks: ['MELD'], mediaRoot: join(root, 'videos') });
    expect(samples[0]!.video).toBe(join(videos, 'MELD_0_1.mp4'));
    expect(samples[1]!.video).toMatch(/MELD_0_2\.mp4$/);
  });

  it('tells every bad row of all tasks, and tasks that are not there', async () => {
    const bad = join(root, 'bad');
    writeReleasedTask(bad, 'MELD', { train: ['0_1\tWell?\thappy'] });
    writeReleasedTask(bad, 'MELD-DA', { test: ['0_1\tWell?\tshout', '0_2\tYes.\tanswer'] });
    const error = await read({ tasks: ['MELD', 'MELD-DA', 'MOSI', 'UR-FUNNY'] }, bad).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'DATASET_INVALID', exitCode: 2 });
    expect((error as Error).message).toMatch(
      /MELD\/train\.tsv, row 2: .*happy.*MELD-DA\/test\.tsv, row 2: .*shout.*no split of MOSI, UR-FUNNY is below/s,
    );
  });
});

describe('its configuration', () => {
  const data = { dataset: 'mmla', labelType: 'own' };
  const parse = (changes: object, more: object = { model: { inputs: 'textonly' } }) =>
    parseConfig({ data: { ...data, ...changes }, output: 'x', ...more });

  it('knows the tasks that there are', () => {
    expect(parse({ mmla: {} }).data.mmla).toMatchObject({ tasks: mmlaTaskKeys, prompt: 'fixed' });
  });

  it.each([
    [{ dataset: null, manifest: 'a.jsonl', mmla: {} }, /data\.mmla: .*data\.dataset to mmla/],
    [{ labelType: 'ovlabel' }, /data\.labelType: "ovlabel", but .*own/],
    [{ mmla: { tasks: ['MELD'], weights: { MOSI: 2 } } }, /data\.mmla\.weights: MOSI is not among/],
    [{ mmla: { weights: { MELD: 0 } } }, /weights/],
    [{ mmla: { tasks: ['MELD', 'MELD'] } }, /named twice/],
  ])('refuses %j', (changes, message) => {
    expect(() => parse(changes)).toThrow(message);
  });

  it('asks for the videos where the inputs need them', () => {
    const model = { model: { inputs: 'frame' } };
    expect(() => parse({}, model)).toThrow(/data\.mmla\.mediaRoot: null, but model\.inputs "frame"/);
    expect(parse({ mmla: { mediaRoot: 'videos' } }, model).data.mmla!.mediaRoot).toBe('videos');
  });
});

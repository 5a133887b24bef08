import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { locateMmla, locateSplits, readMmlaTask } from '../../../src/data/mmla/locate.ts';
import type { MmlaTaskKey } from '../../../src/data/mmla/tasks.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import type { InputError } from '../../../src/errors.ts';
import { emptyFolderForEachTest, writeBelow } from '../../support/temporary-folder.ts';

const root = emptyFolderForEachTest();

const put = (path: string, content = '') => writeBelow(root, path, content);

describe('splits of a task below a folder', () => {
  it.each<[MmlaTaskKey, string[], string]>([
    ['Ch-sims', ['CH-SIMSv2.0/train.tsv', 'CH-SIMSv2.0/dev.tsv', 'CH-SIMSv2.0/test.tsv'], 'released tables'],
    ['UR-FUNNY', ['ur-funny-V2/dev.tsv'], 'released tables'],
    ['AnnoMi-client', ['AnnoMI-client/test.jsonl'], 'ms-swift'],
    ['MIntRec', ['src/Frameworks/Swift/video_prompt_data/MIntRec/test.jsonl'], 'ms-swift'],
    [
      'MELD-DA',
      ['MELD-DA_train_dialogue_act_llamafactory.json', 'MELD-DA_dev_dialogue_act_llamafactory.json'],
      'LLaMA-Factory',
    ],
    [
      'AnnoMi-therapist',
      ['data/AnnoMi-therapist_dev_therapist_behaviour_llamafactory.json'],
      'LLaMA-Factory',
    ],
    ['MOSI', ['data/MOSI_train_sentiment_llava-next.json'], 'LLaVA-NeXT'],
    ['AnnoMi-client', ['AnnoMI-client_train_communication_behavior.json'], 'VideoLLaMA2'],
    ['IEMOCAP', ['IEMOCAP_dev_text_emotion_llamafactory.json'], 'LLaMA-Factory text'],
    ['MUStARD', ['MUStARD/test_speaking_style.json'], 'zero-shot'],
    ['MELD', ['meld/train_sent_emo.csv', 'meld/dev_sent_emo.csv'], 'MELD as published'],
    ['MELD', ['test_sent_emo.csv'], 'MELD as published'],
  ])('%s in %j', async (key, paths, layout) => {
    for (const path of paths) put(path);
    const located = await locateSplits(root, mmlaTask(key));
    expect(located.map(({ file }) => file)).toEqual(paths.map((path) => join(root, path)));
    expect(located.map((one) => one.layout)).toEqual(paths.map(() => layout));
    expect(located.every(({ split, file }) => file.slice(root.length).includes(split))).toBe(true);
  });

  it('are each taken from the first layout that has them, which is told with those passed over', async () => {
    const paths = {
      flat: 'data/MIntRec_dev_intent_llamafactory.json',
      text: 'MIntRec_dev_text_intent_llamafactory.json',
      swift: 'MIntRec/dev.jsonl',
      test: 'MIntRec/test.jsonl',
    };
    for (const path of Object.values(paths)) put(path);
    expect(await locateSplits(root, mmlaTask('MIntRec'))).toEqual([
      {
        split: 'dev',
        file: join(root, paths.swift),
        layout: 'ms-swift',
        passedOver: [join(root, paths.flat), join(root, paths.text)],
      },
      { split: 'test', file: join(root, paths.test), layout: 'ms-swift', passedOver: [] },
    ]);
    expect(await locateMmla(root, mmlaTask('MIntRec'))).toEqual({
      dev: join(root, paths.swift),
      test: join(root, paths.test),
    });
  });

  it('of one task are not those of another whose key begins alike', async () => {
    put('MELD/test.tsv');
    put('IEMOCAP_train_emotion_llamafactory.json');
    for (const key of ['MELD-DA', 'IEMOCAP-DA', 'MIntRec2.0'] as const) {
      await expect(locateSplits(root, mmlaTask(key))).rejects.toMatchObject({ code: 'MMLA_FILES_MISSING' });
    }
  });

  it('prefer the exact spelling, follow links, and are no folders', async () => {
    put('MUSTARD/dev.tsv');
    put('MUStARD/dev.tsv');
    put('elsewhere/test.tsv');
    await symlink(join(root, 'elsewhere', 'test.tsv'), join(root, 'MUStARD', 'test.tsv'));
    await mkdir(join(root, 'MUStARD', 'train.tsv'));
    expect(await locateMmla(root, mmlaTask('MUStARD'))).toEqual({
      dev: join(root, 'MUStARD/dev.tsv'),
      test: join(root, 'MUStARD/test.tsv'),
    });
  });

  it('say all places where they were looked for', async () => {
    const missing = locateMmla(join(root, 'none'), mmlaTask('MELD'));
    const error = await missing.catch((thrown: InputError) => thrown);
    expect(error).toMatchObject({ code: 'MMLA_FILES_MISSING' });
    for (const place of [
      join(root, 'none'),
      'released tables: MELD/{train,dev,test}.tsv (in the folder itself)',
      'ms-swift: MELD/{train,dev,test}.jsonl (in the folder itself, video_prompt_data, ',
      'MELD_{train,dev,test}_text_emotion_llamafactory.json',
      'MELD_{train,dev,test}_emotion_llava-next.json',
      'MELD/{train,dev,test}_emotion.json',
      '{train,dev,test}_sent_emo.csv (in the folder itself, MELD, data/MELD)',
    ]) {
      expect((error as InputError).message).toContain(place);
    }
  });

  it('are read with their faults', async () => {
    put('MELD/dev.tsv', 'id\tutterance\temotion\n0_1\thi\tjoy\n');
    put('MELD/test.tsv', 'id\tutterance\temotion\n0_2\thi\tfear\n0_3\thi\tglee\n');
    const { records, faults } = await readMmlaTask(root, mmlaTask('MELD'));
    expect(records.map(({ id, split }) => [id, split])).toEqual([
      ['MELD_0_1', 'dev'],
      ['MELD_0_2', 'test'],
    ]);
    expect(faults).toMatchObject([{ file: join(root, 'MELD/test.tsv'), row: 3 }]);
  });
});

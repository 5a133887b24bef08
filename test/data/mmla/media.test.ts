import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mapMedia, mediaCandidates, parseMediaRule } from '../../../src/data/mmla/media.ts';
import type { MmlaRecord } from '../../../src/data/mmla/records.ts';
import { mmlaTask } from '../../../src/data/mmla/tasks.ts';
import { emptyFolderForEachTest, writeBelow } from '../../support/temporary-folder.ts';

const root = emptyFolderForEachTest();

const lay = (...files: string[]) => {
  for (const file of files) writeBelow(root, file, 'x');
};

function recordOf(key: string, media: string | undefined, id = `${key}_0_2`, row = 7): MmlaRecord {
  const task = mmlaTask(key);
  return {
    ...{ id, text: 'Words', task: task.key, label: task.labels[0]!, clip: id },
    ...(media === undefined ? {} : { media }),
    origin: `rows.jsonl, row ${row}`,
  };
}

const mapOne = async (key: string, media: string | undefined, id?: string) => {
  const result = await mapMedia([recordOf(key, media, id)], { root, task: mmlaTask(key) });
  return { ...result, media: result.records[0]?.media };
};

const stored = (key: string, file: string) => `/mnt/somebody/else/Datasets/${key}/video/${file}`;

describe('mapMedia', () => {
  it.each([
    ['below the key of the task', 'MIntRec', 'MIntRec/video/MIntRec_S05_1.mp4', 'MIntRec_S05_1.mp4'],
    ['below the folder of the release', 'Ch-sims', 'CH-SIMSv2.0/video/Ch-sims_v_1.mp4', 'Ch-sims_v_1.mp4'],
    ['as an unpacked archive', 'UR-FUNNY', 'UR-FUNNY-v2_video/UR-FUNNY_408.mp4', 'UR-FUNNY_408.mp4'],
    [
      'an archive inside its folder',
      'UR-FUNNY',
      'UR-FUNNY-v2/UR-FUNNY-v2_video/UR-FUNNY_408.mp4',
      'UR-FUNNY_408.mp4',
    ],
    [
      'spelt otherwise',
      'AnnoMi-client',
      'AnnoMI-client_video/AnnoMI-client_1_2.mp4',
      'AnnoMi-client_1_2.mp4',
    ],
    ['with the folder above', 'MELD', 'Datasets/MELD/video/MELD_0_2.mp4', 'MELD_0_2.mp4'],
    ['all in one folder', 'MELD', 'MELD_0_2.mp4', 'MELD_0_2.mp4'],
    ['with signs that are none', 'MOSI', 'MOSI/video/MOSI_c7UH_rxdZv4$_$24.mp4', 'MOSI_c7UH_rxdZv4$_$24.mp4'],
  ])('finds videos %s', async (_where, key, there, file) => {
    lay(there);
    expect((await mapOne(key, stored(key, file))).media).toBe(join(root, there));
  });

  it('finds videos of MELD-DA among those of MELD, and the other way round', async () => {
    lay('MELD/video/MELD_0_2.mp4', 'MELD-DA/video/MELD-DA_0_3.mp4');
    const meld = join(root, 'MELD/video/MELD_0_2.mp4');
    expect((await mapOne('MELD-DA', stored('MELD', 'MELD_0_2.mp4'))).media).toBe(meld);
    expect((await mapOne('MELD-DA', stored('MELD-DA', 'MELD-DA_0_2.mp4'))).media).toBe(meld);
    expect((await mapOne('MELD', stored('MELD', 'MELD_0_3.mp4'))).media).toBe(
      join(root, 'MELD-DA/video/MELD-DA_0_3.mp4'),
    );
  });

  it('takes what a text file calls IEMOCAP_ inside IEMOCAP-DA', async () => {
    lay('IEMOCAP-DA/video/IEMOCAP-DA_Ses01F_impro01_F000.mp4');
    expect((await mapOne('IEMOCAP-DA', 'IEMOCAP_Ses01F_impro01_F000.mp4')).media).toBe(
      join(root, 'IEMOCAP-DA/video/IEMOCAP-DA_Ses01F_impro01_F000.mp4'),
    );
  });

  it('finds the video of a record that names none by its id', async () => {
    lay('MELD/video/MELD_0_2.mp4');
    expect((await mapOne('MELD', undefined, 'MELD_0_2')).media).toBe(join(root, 'MELD/video/MELD_0_2.mp4'));
  });

  it('takes no file of another task with the same number, and no folder', async () => {
    lay('MIntRec2.0/video/MIntRec2.0_9_1.mp4', 'MUStARD/video/MUStARD_9_1.mp4/x');
    const { records, faults } = await mapOne('MUStARD', stored('MUStARD', 'MUStARD_9_1.mp4'));
    expect(records).toEqual([]);
    expect(faults).toHaveLength(1);
  });

  it("prefers the user's rules, and falls back to what is known", async () => {
    lay('MELD/video/MELD_0_2.mp4', 'elsewhere/MELD_0_2.mp4', 'MELD/video/MELD_0_9.mp4');
    const rules = [parseMediaRule(`/mnt/somebody/else/Datasets/MELD/video=${join(root, 'elsewhere')}`)];
    const records = [
      recordOf('MELD', stored('MELD', 'MELD_0_2.mp4')),
      recordOf('MELD', stored('MELD', 'MELD_0_9.mp4'), 'MELD_0_9'),
    ];
    const mapped = await mapMedia(records, { root, task: mmlaTask('MELD'), rules });
    expect(mapped.records.map(({ media }) => media)).toEqual([
      join(root, 'elsewhere/MELD_0_2.mp4'),
      join(root, 'MELD/video/MELD_0_9.mp4'),
    ]);
  });

  it('says where a rule has looked in vain', async () => {
    const rules = [parseMediaRule('/mnt/somebody/else=/mine')];
    const record = recordOf('MELD', stored('MELD', 'MELD_0_2.mp4'));
    const { faults } = await mapMedia([record], { root, task: mmlaTask('MELD'), rules });
    expect(faults[0]!.message).toBe(
      `the video ${stored('MELD', 'MELD_0_2.mp4')} is neither /mine/Datasets/MELD/video/MELD_0_2.mp4 nor below ${root}`,
    );
  });

  it('replaces whole folders only', async () => {
    const rule = parseMediaRule('/mnt/some=/x');
    const record = recordOf('MELD', '/mnt/somebody/MELD_0_2.mp4');
    const options = { root: '/r', task: mmlaTask('MELD'), rules: [rule] };
    expect(mediaCandidates(record, options).some((file) => file.startsWith('/x'))).toBe(false);
    expect(mediaCandidates(record, { ...options, rules: [parseMediaRule('/mnt/somebody=/x')] })[0]).toBe(
      '/x/MELD_0_2.mp4',
    );
  });

  it('names everything that is missing, with file and row', async () => {
    lay('MELD/video/MELD_0_2.mp4');
    const records = [0, 1, 2, 3].map((i) =>
      recordOf('MELD', stored('MELD', `MELD_0_${i}.mp4`), `MELD_0_${i}`, i + 1),
    );
    const { records: found, faults } = await mapMedia(records, { root, task: mmlaTask('MELD') });
    expect(found.map(({ id }) => id)).toEqual(['MELD_0_2']);
    expect(faults.map(({ file, row }) => [file, row])).toEqual([1, 2, 4].map((row) => ['rows.jsonl', row]));
    expect(faults[0]!.message).toContain('MELD_0_0.mp4');
    expect(faults[0]!.message).toContain(root);
  });

  it('asks for no video where neither the record nor the release has one', async () => {
    expect(await mapOne('MOSI', undefined)).toMatchObject({ faults: [], records: [{ id: 'MOSI_0_2' }] });
    expect((await mapOne('MELD', undefined)).faults).toHaveLength(1);
    expect((await mapOne('MOSI', stored('MOSI', 'MOSI_0_2.mp4'))).faults).toHaveLength(1);
  });
});

describe('parseMediaRule', () => {
  it.each(['nothing', '=x', 'x='])('refuses %s', (text) => {
    expect(() => parseMediaRule(text)).toThrow(expect.objectContaining({ code: 'MMLA_MAP_INVALID' }));
  });
});

import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { mmlaTaskKeys } from '../../../src/data/mmla/tasks.ts';
import {
  methodOfRun,
  modalityOfInputs,
  storedFacts,
  trainedTasks,
} from '../../../src/eval/mmla/answer/model-facts.ts';
import type { MmlaModelFacts } from '../../../src/eval/mmla/report/schema.ts';
import { folderWith } from '../../config/files.ts';
import { report, taskReport, writeReportTo } from '../mmla-leaderboard/sample-reports.ts';

const configured = (config: string, ...set: string[]): Config => loadConfig({ config, set }).config;
const sft = configured('mmla-sft-meld.yaml');
const it12 = configured('mmla-it.yaml');

describe('what is known of a run', () => {
  it('is the method by which it came to the tasks that are scored', () => {
    expect(methodOfRun(sft, ['MELD'])).toBe('sft');
    expect(methodOfRun(it12, mmlaTaskKeys)).toBe('it');
    expect(methodOfRun(it12, ['MOSI'])).toBe('it');
    expect(methodOfRun(configured('mmla-it.yaml', 'data.mmla.tasks=[MELD,MOSI]'), ['MOSI'])).toBe('it');
    // Trained on another task: none of the published methods.
    expect(methodOfRun(sft, ['MELD', 'MOSI'])).toBeUndefined();
    expect(methodOfRun({ ...it12, data: { ...it12.data, mmla: null } }, mmlaTaskKeys)).toBe('it');
  });

  it('says zero-shot only of training that is known to hold no sample of MMLA', () => {
    const on = (dataset: string | null): Config => ({ ...sft, data: { ...sft.data, dataset, mmla: null } });
    expect(methodOfRun(on('mercaptionplus'), mmlaTaskKeys)).toBe('zero-shot');
    expect(methodOfRun(on('meld-text'), ['MELD'])).toBeUndefined();
    expect(methodOfRun(on(null), ['MELD'])).toBeUndefined();
    expect(trainedTasks(on(null))).toBeUndefined();
  });

  it('is what it is given of a sample', () => {
    const inputs = ['textonly', 'audio_text', 'multiframe_audio_frame_text', 'face_text'];
    expect(inputs.map(modalityOfInputs)).toEqual(['text', 'audio', 'video', 'video']);
  });
});

describe('what reports tell of stored answers beside them', () => {
  const told = { method: 'sft', modality: 'text', parameters: 0.5 } as const;
  const folderOf = (model: MmlaModelFacts, ...tasks: string[]): string => {
    const one = report(
      'mine',
      tasks.map((task) => taskReport(task, 0.6)),
    );
    const folder = folderWith({});
    writeReportTo(folder, 'report.json', { ...one, model: { ...one.model, ...model } });
    return folder;
  };

  it('holds for them, of the method where it is of all their tasks', async () => {
    const [first, other] = [folderOf(told, 'MELD', 'MOSI'), folderOf(told, 'MELD')];
    expect(await storedFacts([first], ['MELD'])).toMatchObject(told);
    expect(await storedFacts([first, other], ['MELD'])).toMatchObject(told);
    const { method: _, ...others } = told;
    expect(await storedFacts([first, other], ['MELD', 'MOSI'])).toEqual(others);
    const large = folderOf({ ...told, parameters: 7 }, 'MELD');
    expect(await storedFacts([first, large], ['MELD'])).toEqual({ method: 'sft', modality: 'text' });
  });

  it('is nothing where a folder has no report, or that of something else', async () => {
    const known = folderOf(told, 'MELD');
    expect(await storedFacts([known, folderWith({})], ['MELD'])).toEqual({});
    expect(await storedFacts([folderWith({ 'report.json': '{}' })], ['MELD'])).toEqual({});
    expect(await storedFacts([folderOf({}, 'MELD')], ['MELD'])).toEqual({});
  });
});

import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  alignmentFindings,
  predictionsOf,
  readPredictions,
} from '../../../src/eval/mer-unibench/predictions.ts';
import { alignPredictions } from '../../../src/eval/mer-unibench/samples.ts';
import { npyOf, zipOf } from '../../io/zip-writer.ts';
import { fixturePath } from '../../support/fixture.ts';
import { isMissing, publishedFiles } from '../../support/published-files.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

async function fileOf(name: string, ...lines: string[]): Promise<string> {
  const path = join(await temporaryFolder(), name);
  await writeFile(path, lines.join('\n'));
  return path;
}

/** The only checkpoint of a file, with findings as `kind count: of`. */
async function read(path: string) {
  const { checkpoints } = await readPredictions(path);
  expect(checkpoints).toHaveLength(1);
  const { name, samples, findings } = checkpoints[0]!;
  return {
    name,
    samples: Object.fromEntries(samples),
    findings: findings.map(({ kind, count, of }) => `${kind} ${count}: ${of.join(' | ')}`),
  };
}

/** An npz with text of at most eight characters. */
function textArchive(arrays: Record<string, string[]>): Buffer {
  return zipOf(
    Object.entries(arrays).map(([name, texts]) => {
      const data = Buffer.alloc(32 * texts.length);
      texts.forEach((text, i) => {
        [...text].forEach((letter, at) => {
          data.writeUInt32LE(letter.codePointAt(0)!, 32 * i + 4 * at);
        });
      });
      return { name: `${name}.npy`, content: npyOf("'<U8'", `(${texts.length},)`, data), deflate: true };
    }),
  );
}

describe('predictions', () => {
  it('are read from JSON Lines, with what else predict writes', async () => {
    const path = await fileOf(
      'mine.jsonl',
      '{"name":"a","question":"?","text":"She is happy.","tokens":5,"finish":"stop"}',
      '',
      '{"id":"b","labels":["sad","angry"]}',
      '{"name":"c","sentiment":"positive","text":null}',
      '{"name":"d","text":"x","labels":[],"sentiment":"mixed"}',
    );
    expect(await read(path)).toEqual({
      name: 'mine',
      samples: {
        a: { text: 'She is happy.' },
        b: { labels: ['sad', 'angry'] },
        c: { sentiment: 'positive' },
        d: { text: 'x', labels: [], sentiment: 'mixed' },
      },
      findings: [],
    });
  });

  it('are read from CSV', async () => {
    const path = await fileOf(
      'mine.csv',
      'id,text,labels,finish',
      'a,"happy, I think",,stop',
      'b,,sad; angry ;,stop',
      `c,,"['sad', ""angry""]",stop`,
      'd,,,stop',
    );
    expect(await read(path)).toEqual({
      name: 'mine',
      samples: {
        a: { text: 'happy, I think' },
        b: { labels: ['sad', 'angry'] },
        c: { labels: ['sad', 'angry'] },
        d: { text: '' },
      },
      findings: ['empty 1: d'],
    });
  });

  it('with faults are reported, each with its count', async () => {
    const path = await fileOf(
      'mine.jsonl',
      '{"name":"a","text":"happy"}',
      '{"name":"a","text":"happy"}',
      '{"name":"b","text":"  "}',
      '{"name":"c","text":null}',
      '{"name":"d","labels":"nan"}',
      '{"name":"e","text":7}',
      '{"name":"","text":"x"}',
      '{"name":"f","id":"g","text":"x"}',
      '{"name":"h"}',
      '["i"]',
      '{"name":"j","text":"sa',
    );
    const { samples, findings } = await read(path);
    expect(samples).toEqual({ a: { text: 'happy' }, b: { text: '  ' }, c: { text: '' }, d: { labels: [] } });
    expect(findings).toEqual([
      expect.stringMatching(/^unreadable 1: row 7$/),
      expect.stringMatching(/^unreadable 1: row 8$/),
      expect.stringMatching(/^unreadable 1: row 9$/),
      expect.stringMatching(
        /^unreadable 2: row 10 \(the line is not a JSON object\) \| row 11 \(the line is not JSON/,
      ),
      'duplicate 1: a',
      'empty 1: b',
      'nan 1: c',
      'nan 1: d',
      'unreadable 1: row 6',
    ]);
    const { checkpoints } = await readPredictions(path);
    expect(checkpoints[0]!.findings[4]!.message).toBe(
      `${path}: samples that stand there twice with the same content (1): a.`,
    );
  });

  it('that contradict each other are refused, all names at once', async () => {
    const rows = ['a,happy', 'a,sad', 'b,x', 'c,', 'c,y'];
    const path = await fileOf('mine.csv', 'name,text', ...rows);
    await expect(readPredictions(path)).rejects.toMatchObject({
      code: 'PREDICTIONS_CONTRADICTORY',
      message: expect.stringContaining('which is meant: a; c. Keep one of each'),
    });
  });

  it('of a published checkpoint are put together from its three files, whichever is given', async () => {
    const base = fixturePath('npz/sets/sims/predictions/checkpoint_000030_loss_0.602');
    const all = await read(`${base}.npz`);
    expect(all.samples.sims_2).toEqual({
      text: "The character's emotional state is anxious, sad.",
      ...{ labels: ['anxious', 'sad'], openset: '[anxious, sad]', sentiment: 'negative' },
    });
    expect(await read(`${base}-openset-sentiment.npz`)).toEqual(all);
  });

  it('may be the words alone, as those of OV-MERD', async () => {
    const path = await fileOf('output-openset.npz');
    await writeFile(
      path,
      textArchive({ filenames: ['a', 'b', 'a', 'c'], fileitems: ['[x, y]', '[]', '[x, y]', 'nan'] }),
    );
    expect(await read(path)).toEqual({
      name: 'output',
      samples: {
        a: { labels: ['x', 'y'], openset: '[x, y]' },
        b: { labels: [], openset: '[]' },
        c: { labels: [], openset: 'nan' },
      },
      findings: ['duplicate 1: a', 'nan 1: c'],
    });
  });

  it('that a companion lacks are reported', async () => {
    const path = await fileOf('x.jsonl', '{"name":"a","text":"1"}', '{"name":"b","text":"2"}');
    await writeFile(
      path.replace('.jsonl', '-openset.npz'),
      textArchive({ filenames: ['b', 'c'], fileitems: ['[sad]', '[mad]'] }),
    );
    const { samples, findings } = await read(path);
    expect(samples).toMatchObject({
      a: { text: '1' },
      b: { text: '2', labels: ['sad'] },
      c: { labels: ['mad'] },
    });
    expect(findings).toEqual(['incomplete 1: c', 'incomplete 1: a']);
  });

  it('of two files that differ are refused', async () => {
    const path = await fileOf('x.jsonl', '{"name":"a","labels":["happy"]}');
    const companion = path.replace('.jsonl', '-openset.npz');
    await writeFile(companion, textArchive({ filenames: ['a'], fileitems: ['[sad]'] }));
    await expect(readPredictions(path)).rejects.toMatchObject({
      code: 'PREDICTIONS_CONTRADICTORY',
      message: expect.stringContaining(`${path} and ${companion}`),
    });
    await writeFile(companion, textArchive({ filenames: ['a'], fileitems: ['[happy]'] }));
    expect((await read(path)).samples).toEqual({ a: { labels: ['happy'], openset: '[happy]' } });
  });

  it('of a folder are checkpoints in the order of their numbers', async () => {
    const folder = await temporaryFolder();
    for (const name of ['step-100.jsonl', 'step-20.csv', 'step-3.jsonl']) {
      await writeFile(
        join(folder, name),
        name.endsWith('csv') ? 'name,text\na,x' : '{"name":"a","text":"x"}',
      );
    }
    await copyFile(
      fixturePath('npz/sets/meld/predictions/checkpoint_000030_loss_0.602-openset.npz'),
      join(folder, 'step-20-openset.npz'),
    );
    await writeFile(join(folder, 'log.txt'), '');
    await writeFile(join(folder, '.hidden'), '');
    await mkdir(join(folder, 'deeper'));
    const { checkpoints, findings } = await readPredictions(folder);
    expect(checkpoints.map(({ name, files }) => [name, files.length])).toEqual([
      ['step-3', 1],
      ['step-20', 2],
      ['step-100', 1],
    ]);
    expect(findings).toMatchObject([{ kind: 'other-file', count: 1, of: ['log.txt'] }]);
  });

  it('of a folder are refused with all their faults', async () => {
    const folder = await temporaryFolder();
    const refusal = () => readPredictions(folder);
    await mkdir(join(folder, 'SALMONN'));
    await expect(refusal()).rejects.toMatchObject({
      code: 'PREDICTIONS_NONE',
      message: expect.stringContaining('Its folders are SALMONN; give one of them'),
    });
    await writeFile(join(folder, 'a.npz'), 'no archive');
    await expect(refusal()).rejects.toMatchObject({ code: 'ZIP_INVALID' });
    await writeFile(join(folder, 'b.jsonl'), '');
    await writeFile(join(folder, 'c.csv'), 'name,text\na,x');
    await expect(refusal()).rejects.toMatchObject({
      code: 'PREDICTIONS_UNREADABLE',
      message: expect.stringMatching(
        /^2 checkpoints .*a\.npz is not a whole zip.*b\.jsonl holds no predictions/,
      ),
    });
  });

  it.each([
    ['x.npz', textArchive({ filenames: ['a'], fileitems: ['x'] }), /its name has to end in -openset/],
    [
      'x-openset.npz',
      textArchive({ filenames: ['a', 'b'], fileitems: ['x'] }),
      /2 filenames and 1 fileitems/,
    ],
    ['x.npz', textArchive({ other: ['a'] }), /its arrays are "other"/],
    ['x.npz', textArchive({ name2reason: ['a'] }), /holds an array of text of shape \(1\)/],
    ['x.csv', 'name,openset\na,[sad]', /expected are the columns name and text or labels or sentiment/],
    ['x.csv', 'text\nx', /expected are the columns name/],
    ['x.jsonl', '{"nam":"a","text":"x"}', /holds no predictions\. .*rows without a name \(1\): row 1/],
    ['x.txt', 'a', /those end in \.npz, \.jsonl, \.csv/],
  ])('that are none are refused: %s', async (name, content, message) => {
    const path = await fileOf(name);
    await writeFile(path, content);
    await expect(readPredictions(path)).rejects.toMatchObject({
      name: 'InputError',
      message: expect.stringMatching(message),
    });
  });

  it('that say the same thing twice under one name are refused', async () => {
    const path = await fileOf('x.jsonl', '{"name":"a","text":"x"}');
    await writeFile(path.replace('jsonl', 'csv'), 'name,text\na,x');
    await expect(readPredictions(join(path, '..'))).rejects.toMatchObject({ code: 'PREDICTIONS_AMBIGUOUS' });
    expect((await read(path)).samples).toEqual({ a: { text: 'x' } });
    await expect(readPredictions(`${path}.jsonl`)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('are put beside the labels: names that lack or that nobody knows are reported', async () => {
    const path = await fileOf('x.jsonl', '{"name":"b","labels":["sad"]}', '{"name":"z","labels":[]}');
    const [checkpoint] = (await readPredictions(path)).checkpoints;
    const truths = new Map(['a', 'b', 'c'].map((name) => [name, ['sad']] as const));
    const aligned = alignPredictions(truths, predictionsOf(checkpoint!, 'labels'), []);
    expect(alignmentFindings(aligned, checkpoint!)).toEqual([
      {
        ...{ kind: 'missing', file: path, count: 2, of: ['a', 'c'] },
        message: `${path}: labelled samples without prediction (2): a, c.`,
      },
      expect.objectContaining({ kind: 'unknown', count: 1, of: ['z'] }),
    ]);
    expect(predictionsOf(checkpoint!, 'text').size).toBe(0);
    const others = alignPredictions(new Map([['m', 1]]), predictionsOf(checkpoint!, 'labels'), []);
    expect(() => alignmentFindings(others, checkpoint!)).toThrow(
      /names such as m, predictions b, z; probably/,
    );
  });
});

const { merUnibench } = publishedFiles;

describe.skipIf(isMissing('published predictions (AFFECTGPT_MER_UNIBENCH)', merUnibench))(
  'published predictions',
  () => {
    it.each([
      ['predictions/mer2023', 7, 2, 411],
      ['predictions/cmumosi', 7, 3, 686],
      ['ovmerd/SALMONN', 3, 1, 332],
      ['ovmerd/Chat-UniVi', 3, 1, 332],
    ])('of %s are read', async (folder, count, files, samples) => {
      const { checkpoints, findings } = await readPredictions(join(merUnibench, folder));
      expect(findings).toEqual([]);
      expect(checkpoints).toHaveLength(count);
      for (const checkpoint of checkpoints) {
        expect(checkpoint.files).toHaveLength(files);
        expect(checkpoint.samples.size).toBe(samples);
        expect(checkpoint.findings).toEqual([]);
        expect(predictionsOf(checkpoint, 'labels').size).toBe(samples);
        expect(predictionsOf(checkpoint, 'text').size).toBe(files > 1 ? samples : 0);
        expect(predictionsOf(checkpoint, 'sentiment').size).toBe(files > 2 ? samples : 0);
      }
    });
  },
);

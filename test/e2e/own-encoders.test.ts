import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { exportEncoder, place, writeOnnx } from '../support/onnx-encoders.ts';
import { makeWorkspace, readMetrics, run, set, succeed } from './workspace.ts';

const workspace = await makeWorkspace();
const { path, config, rows } = workspace;

/** Writes the workspace's encoders as ONNX files with descriptions, as a user would bring them. */
async function writeOwnEncoders() {
  const clip = await exportEncoder('clip', path('models', 'visual'), 'visual', path('own', 'clip.onnx'));
  const hubert = await exportEncoder('hubert', path('models', 'audio'), 'audio', path('own', 'hubert.onnx'));
  const preprocessor = await readFile(path('models', 'visual', 'preprocessor_config.json'), 'utf8');
  const named = { image_processor_type: 'CLIPImageProcessor', ...(parse(preprocessor) as object) };
  await place(path('own', 'preprocessor_config.json'), JSON.stringify(named));
  const visual = {
    ...{ modality: 'visual', file: 'clip.onnx', input: { name: clip.input } },
    preprocessing: 'preprocessor_config.json',
    output: { name: clip.output, pooling: 'none' },
  };
  const audio = {
    ...{ modality: 'audio', file: 'hubert.onnx', input: { name: hubert.input } },
    preprocessing: { do_normalize: true },
    output: { name: hubert.output, pooling: 'none' },
    size: 16,
  };
  await writeFile(path('own', 'visual.yaml'), stringify(visual));
  await writeFile(path('own', 'audio.yaml'), stringify(audio));
  return { visual, audio };
}

const described = await writeOwnEncoders();
const own = {
  'model.visualEncoder': { type: 'onnx', model: path('own', 'visual.yaml') },
  'model.audioEncoder': { type: 'onnx', model: path('own', 'audio.yaml') },
};
const train = (settings: Record<string, unknown>) => ['train', '--config', config, ...set(settings)];
const firstSteps = { 'train.steps': 3 };

/** An answer about one clip of the workspace. */
async function answer(checkpoint: string): Promise<unknown> {
  const { video } = rows[0] as { video?: string };
  const { out } = await succeed('predict', path('clips', video!), '--checkpoint', checkpoint, '--json');
  return JSON.parse(out);
}

describe("a user's own encoders", () => {
  it('train and answer as the built-in ones do where they are the same networks', async () => {
    await succeed(...train({ ...firstSteps, output: path('built-in') }));
    const { err } = await succeed(...train({ ...firstSteps, ...own, output: path('own-run') }));
    expect(err).toMatch(/Features: 10 computed, 0 from the cache/);
    const metrics = await readMetrics(path('own-run'));
    expect(metrics).toHaveLength(3);
    expect(metrics).toEqual(await readMetrics(path('built-in')));

    const [builtIn, mine] = [await answer(path('built-in')), await answer(path('own-run'))];
    const { checkpoint: _one, ...expected } = builtIn as Record<string, unknown>;
    const { checkpoint: _other, ...given } = mine as Record<string, unknown>;
    expect(given).toEqual(expected);
    expect(given.text).not.toBe('');
  });

  it('are found in the feature cache, until they change', async () => {
    const again = await succeed(...train({ ...firstSteps, ...own, output: path('again') }));
    expect(again.err).not.toContain('Features:');
    await writeFile(path('own', 'visual.yaml'), `${stringify(described.visual)}size: 12\n`);
    const changed = await succeed(...train({ ...firstSteps, ...own, output: path('changed') }));
    await writeFile(path('own', 'visual.yaml'), stringify(described.visual));
    expect(changed.err).toContain('Features: 5 computed, 5 from the cache');
  });

  it('may not change under a run that goes on', async () => {
    await writeFile(
      path('own', 'audio.yaml'),
      stringify({ ...described.audio, preprocessing: { do_normalize: false } }),
    );
    const { exitCode, err } = await run(...train({ ...own, 'train.steps': 4, output: path('own-run') }));
    await writeFile(path('own', 'audio.yaml'), stringify(described.audio));
    expect(err).toMatch(
      /error\[RESUME_CONFIG_CHANGED\].*model\.audioEncoder\.description\.preprocessing\.do_normalize was true and is now false/,
    );
    expect(exitCode).toBe(2);
    await succeed(...train({ ...own, 'train.steps': 4, output: path('own-run') }));
  });
});

describe('an own encoder with a fault', () => {
  const refused = async (encoder: object, settings: Record<string, unknown> = {}) =>
    run(
      ...train({
        ...own,
        ...firstSteps,
        'model.visualEncoder': encoder,
        output: path('refused'),
        ...settings,
      }),
    );

  it('is refused before anything is decoded, with all that is wrong', async () => {
    const file = path('own', 'wrong.yaml');
    await writeFile(
      file,
      stringify({ ...described.visual, output: { name: 'features', pooling: 'none' }, size: 3 }),
    );
    const { exitCode, err } = await refused({ type: 'onnx', model: file });
    expect(err).toMatch(/error\[ENCODER_DESCRIPTION_MISMATCH\]/);
    expect(err).toMatch(/output\.name: "features" is no output of .*clip\.onnx; it has new:features float32/);
    expect(err).not.toContain('    at ');
    expect(exitCode).toBe(2);
  });

  it.each(['onnx', 'transformers'])(
    'of type %s is told together with models that are missing',
    async (type) => {
      const file = path('own', 'unreadable.yaml');
      await writeFile(file, 'modality: visual\noutput: [\n');
      const { exitCode, err } = await refused({ type, model: file }, { 'model.llm': 'org/llm' });
      expect(err).toMatch(/error\[NOT_READY\]/);
      expect(err).toContain('model.llm "org/llm": affectgpt pull org/llm');
      expect(err).toMatch(/unreadable\.yaml:\d+ {2}not valid YAML/);
      expect(exitCode).toBe(2);
      // With all models there it is told alone.
      expect((await refused({ type, model: file })).err).toMatch(/error\[ENCODER_DESCRIPTION_INVALID\]/);
    },
  );

  it('does not hide what else is wrong, in a dry run either', async () => {
    const unreadable = path('own', 'unreadable.yaml');
    await writeFile(unreadable, 'modality: visual\noutput: [\n');
    const lost = await place(
      path('clips', 'lost.jsonl'),
      `${JSON.stringify({ ...rows[0], video: 'lost.mp4' })}\n`,
    );
    const settings = {
      'model.llm': 'org/llm',
      'model.visualEncoder': { type: 'transformers', model: unreadable },
      'model.audioEncoder': { type: 'transformers', model: 'org/hubert' },
      'data.manifest': lost,
      output: path('refused'),
    };
    const trained = await run(...train(settings));
    const dry = await run(...train(settings), '--dry-run');
    for (const { err, exitCode } of [trained, dry]) {
      expect(err).toMatch(/error\[NOT_READY\]/);
      expect(err).toContain('model.llm "org/llm"');
      expect(err).toContain('model.audioEncoder.model "org/hubert"');
      expect(err).toMatch(/unreadable\.yaml:\d+ {2}not valid YAML/);
      expect(err).toContain('lost.mp4');
      expect(exitCode).toBe(2);
    }
    expect(dry.err).toContain('--shapes-only');
  });

  it('of sound is told together with that of pictures', async () => {
    const of = async (modality: 'visual' | 'audio') => {
      const output = { name: 'features', pooling: 'none' };
      const text = stringify({ ...described[modality], output });
      return { type: 'onnx', model: await place(path('own', `${modality}-wrong.yaml`), text) };
    };
    const { err } = await refused(await of('visual'), { 'model.audioEncoder': await of('audio') });
    expect(err).toMatch(/error\[NOT_READY\]/);
    expect(err).toMatch(/"features" is no output of .*clip\.onnx/);
    expect(err).toMatch(/"features" is no output of .*hubert\.onnx/);
  });

  it('is refused where the type wants a description and a model is named', async () => {
    const { exitCode, err } = await refused({ type: 'onnx', model: path('models', 'visual') });
    expect(err).toMatch(/error\[CONFIG_INVALID\]/);
    expect(err).toMatch(/model\.visualEncoder\.model: .*type "onnx" takes the path of the YAML file/);
    expect(exitCode).toBe(2);
  });

  it('says how to get a model of the hub, with the files that it needs', async () => {
    const { err } = await refused({ type: 'transformers', model: 'org/vit' });
    expect(err).toContain(
      'model.visualEncoder.model "org/vit": affectgpt pull org/vit --include "*.json" --include "onnx/*model.onnx*"',
    );
  });

  it('that gives no numbers stops with the sample and the exit code of numbers', async () => {
    await writeOnnx(path('own', 'nan.onnx'), {
      name: 'nan',
      nodes: [
        { op: 'Neg', inputs: ['pixels'], outputs: ['negative'] },
        { op: 'Sqrt', inputs: ['negative'], outputs: ['roots'] },
        { op: 'GlobalAveragePool', inputs: ['roots'], outputs: ['means'] },
        { op: 'Flatten', inputs: ['means'], outputs: ['features'], attributes: { axis: 1 } },
      ],
      initializers: [],
      inputs: [{ name: 'pixels', type: 'float32', shape: ['n', 3, 'h', 'w'] }],
      outputs: [{ name: 'features', type: 'float32', shape: ['n', 3] }],
    });
    const file = await place(
      path('own', 'nan.yaml'),
      stringify({
        ...{ modality: 'visual', file: 'nan.onnx', input: { name: 'pixels' } },
        preprocessing: { size: 32, image_mean: [0, 0, 0], image_std: [1, 1, 1] },
        output: { name: 'features', pooling: 'none' },
      }),
    );
    const { exitCode, err } = await refused({ type: 'onnx', model: file });
    expect(err).toMatch(
      /error\[FEATURES_NOT_FINITE\]: .*manifest\.jsonl.*the features of sample ".+" contain NaN/,
    );
    expect(exitCode).toBe(3);
  });
});

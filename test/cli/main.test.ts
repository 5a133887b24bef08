import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { describeFailure } from '../../src/cli/errors.ts';
import { EngineError } from '../../src/errors.ts';
import { folderWith } from '../config/files.ts';
import { run } from '../support/command-output.ts';

describe('usage', () => {
  it('--help and --version', async () => {
    const help = await run('--help');
    expect(help.exitCode).toBe(0);
    expect(help.out).toMatch(/affectgpt config .*\n.*affectgpt doctor/);
    expect((await run('config', 'show', '--help')).out).toContain('--set');
    for (const command of ['mer-unibench', 'compare']) {
      expect((await run('eval', command, '--help')).out).toMatch(/--resamples [^-]*100\s+at\s+least/);
    }
    const checked = (await run('data', 'check', '--help')).out.replaceAll(/\s+/g, ' ');
    for (const key of ['mer2023', 'cmumosei', 'ovmerdplus', 'mercaptionplus', 'meld-text']) {
      expect(checked).toContain(key);
    }
    expect((await run('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each([
    [[], 'Name a command'],
    [['config'], 'Say what to do'],
    [['config', 'vali'], 'vali'],
    [['nonsense'], 'nonsense'],
    [['config', 'show', '--config', 'prefusion-attn', '--foo', '1'], 'foo'],
    [['config', 'validate'], 'Missing required argument: config'],
    [['config', 'validate', '--config', 'prefusion-attn', '--set'], 'set'],
    [['config', 'schema', '--format', 'xml'], 'Choices: "json", "markdown"'],
  ])('%j is a wrong command line', async (argv, message) => {
    const { exitCode, out, err } = await run(...argv);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/^error\[USAGE\]: [^\n]+\n$/);
    expect(err).toContain(message);
  });
});

describe('config', () => {
  it('validates and shows', async () => {
    const valid = await run('config', 'validate', '--config', 'prefusion-qformer-3b');
    expect(valid).toMatchObject({ exitCode: 0, err: '' });
    expect(valid.out).toMatch(/prefusion-qformer-3b\.yaml is valid/);
    const { out } = await run(
      ...[
        'config',
        'show',
        '--config',
        'no-prefusion.yaml',
        '--set',
        'train.steps=5',
        '--set',
        'lora.targets=[q_proj]',
      ],
    );
    expect(out).toContain('steps: 5 # set by user');
    expect(parse(out)).toMatchObject({
      train: { steps: 5 },
      lora: { targets: ['q_proj'] },
      fusion: { multi: 'none' },
    });
  });

  it('prints the schema', async () => {
    expect(JSON.parse((await run('config', 'schema')).out).properties.train.type).toBe('object');
    expect((await run('config', 'schema', '--format', 'markdown')).out).toMatch(/^# Configuration reference/);
  });

  it('lists several errors at once, without a stack trace', async () => {
    const folder = folderWith({
      'bad.yaml': 'output: x\ndata: {manifest: a}\nmodel: {frmes: 8}\ntrain: {steps: -1}\n',
    });
    const { exitCode, out, err } = await run('config', 'validate', '--config', `${folder}/bad.yaml`);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/^error\[CONFIG_INVALID\]: .*2 errors/);
    expect(err).toContain('bad.yaml:3  model.frmes: unknown key; did you mean "frames"?');
    expect(err).toContain('bad.yaml:4  train.steps: expected whole number, at least 1; found -1');
    expect(err).not.toContain('    at ');
  });

  it('says where it looked for a file, and shows the stack with --verbose', async () => {
    const { exitCode, err } = await run('config', 'show', '--config', 'nowhere', '--verbose');
    expect(exitCode).toBe(2);
    expect(err).toContain('nowhere.yaml');
    expect(err).toContain('configs');
    expect(err).toContain('    at ');
  });
});

describe('failures', () => {
  it('keep the exit code of an expected error', () => {
    expect(describeFailure(new EngineError('ENGINE_X', 'No engine.'), false)).toEqual({
      text: 'error[ENGINE_X]: No engine.\n',
      exitCode: 4,
    });
  });

  it('call anything else a bug and exit with 1', () => {
    const { text, exitCode } = describeFailure(new TypeError('x is undefined'), false);
    expect(exitCode).toBe(1);
    expect(text).toMatch(/^error\[UNEXPECTED\]: TypeError: x is undefined \(this is a bug: .*--verbose\)\n$/);
    const cause = new Error('outer', { cause: new Error('inner') });
    expect(describeFailure(cause, true).text).toMatch(/ {4}at [\s\S]*caused by Error: inner/);
  });
});

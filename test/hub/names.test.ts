import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hubCacheFolder, hubSettings } from '../../src/hub/environment.ts';
import { formatReference, isSafePath, parseReference } from '../../src/hub/reference.ts';
import { globPattern, selectFiles } from '../../src/hub/selection.ts';

describe('a reference', () => {
  it.each([
    ['Qwen/Qwen2.5-7B-Instruct', 'Qwen/Qwen2.5-7B-Instruct', 'main'],
    ['gpt2', 'gpt2', 'main'],
    ['org/name@v1.0', 'org/name', 'v1.0'],
    ['org/name@refs/pr/1', 'org/name', 'refs/pr/1'],
  ])('%s is a model', (text, id, revision) => {
    const reference = parseReference(text);
    expect(reference).toEqual({ id, revision });
    expect(formatReference(reference!)).toBe(text);
  });

  it.each([
    '',
    './models/llm',
    '/models/llm',
    'a/b/c',
    '../up',
    'org/..',
    'org/a--b',
    'org/a..b',
    'org/.hidden',
    'org/name@',
    'org/name@v1@v2',
    'org/name@../../etc',
    'org/name@a\\b',
    'C:\\models',
    'org/name.git',
    'https://huggingface.co/org/name',
    `org/${'x'.repeat(97)}`,
  ])('%j is none', (text) => {
    expect(parseReference(text)).toBeUndefined();
  });

  it('and file names stay below their folder', () => {
    for (const name of ['a.json', 'a/b c.json', '.gitattributes', 'a/..b'])
      expect(isSafePath(name)).toBe(true);
    for (const name of ['', '.', 'a/', '/a', 'a/./b', '..', 'a/..', 'a:b', 'a\nb']) {
      expect(isSafePath(name), name).toBe(false);
    }
  });
});

describe('the files of a model', () => {
  const reference = { id: 'org/model', revision: 'main' };
  const select = (names: string[], include: string[] = []) => selectFiles(reference, names, include);
  const always = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.json', 'merges.txt'];

  it('are what opening it needs, config.json last', () => {
    const others = [
      'README.md',
      '.gitattributes',
      'LICENSE',
      'modeling.py',
      'tf_model.h5',
      'flax_model.msgpack',
    ];
    const weights = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    const index = 'model.safetensors.index.json';
    const unwanted = [
      'pytorch_model.bin',
      'rust_model.ot',
      'model.gguf',
      'consolidated.safetensors',
      'training_args.bin',
    ];
    const nested = [
      'onnx/model.onnx',
      'onnx/config.json',
      'original/params.json',
      'openvino/model.safetensors',
    ];
    const names = [...always, ...others, ...weights, index, ...unwanted, ...nested, 'spiece.model'];
    const selected = select(names);
    expect([...selected].sort()).toEqual([...always, ...weights, index, 'spiece.model'].sort());
    expect(selected.at(-1)).toBe('config.json');
  });

  it('include .bin weights only where there are no safetensors in the root', () => {
    const hubert = [
      'chinese-hubert-large-fairseq-ckpt.pt',
      'config.json',
      'preprocessor_config.json',
      'pytorch_model.bin',
    ];
    const expected = ['preprocessor_config.json', 'pytorch_model.bin', 'config.json'];
    expect(select(hubert)).toEqual(expected);
    expect(select([...hubert, 'sub/model.safetensors', 'training_args.bin'])).toEqual(expected);
    expect(select([...hubert, 'model.safetensors'])).not.toContain('pytorch_model.bin');
  });

  it('are exactly those that match, where patterns are given', () => {
    const names = ['a.json', 'b.txt', 'onnx/c.json', 'config.json'];
    expect(select(names, ['*.json'])).toEqual(['a.json', 'onnx/c.json', 'config.json']);
    expect(select(names, ['onnx/', 'b.*'])).toEqual(['b.txt', 'onnx/c.json']);
    expect(() => select(['README.md'])).toThrow(/none of the files that opening a model needs.*README\.md/);
  });

  it('are matched as by the programs of the hub', () => {
    const matches = (glob: string, name: string) => globPattern(glob).test(name);
    expect(matches('model-0000[12]*', 'model-00002-of-3')).toBe(true);
    expect(matches('model-0000[!12]*', 'model-00002-of-3')).toBe(false);
    expect(matches('a?c', 'abc')).toBe(true);
    expect(matches('a.c', 'abc')).toBe(false);
    expect(matches('[x', '[x')).toBe(true);
    expect(matches('a(b)|$^+{1}', 'a(b)|$^+{1}')).toBe(true);
  });
});

describe('the environment', () => {
  it('names the cache as for the Python client', () => {
    expect(hubCacheFolder({})).toBe(join(homedir(), '.cache', 'huggingface', 'hub'));
    expect(hubCacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub');
    expect(hubCacheFolder({ HF_HOME: '~/hf', XDG_CACHE_HOME: '/x' })).toBe(join(homedir(), 'hf', 'hub'));
    expect(hubCacheFolder({ HUGGINGFACE_HUB_CACHE: '/old', HF_HOME: '/h' })).toBe('/old');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as shells write variables
    expect(hubCacheFolder({ HF_HUB_CACHE: '$DISK/${SUB}/$none', DISK: '/d', SUB: 's' })).toBe('/d/s/$none');
  });

  it('gives the token, or names the place of one that is none, without its text', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'affectgpt-token-'));
    try {
      await writeFile(join(folder, 'token'), 'from_login\n');
      await writeFile(join(folder, 'other'), 'from_path');
      const token = (more: Record<string, string>) => hubSettings({ HF_HOME: folder, ...more }).token;
      expect(token({})).toBe('from_login');
      expect(token({ HF_TOKEN_PATH: join(folder, 'other') })).toBe('from_path');
      expect(token({ HUGGING_FACE_HUB_TOKEN: 'old' })).toBe('old');
      expect(token({ HUGGING_FACE_HUB_TOKEN: 'old', HF_TOKEN: ' new ' })).toBe('new');
      expect(token({ HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' })).toBeUndefined();
      expect(() => token({ HF_TOKEN: 'sec\nret' })).toThrow(
        /^What HF_TOKEN holds is not a token((?!ret).)*$/s,
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('gives the address of the hub or a mirror', () => {
    const endpoint = (HF_ENDPOINT: string) => hubSettings({ HF_HOME: '/none', HF_ENDPOINT }).endpoint;
    expect(endpoint('')).toBe('https://huggingface.co');
    expect(endpoint('https://hf-mirror.com/')).toBe('https://hf-mirror.com');
    expect(endpoint('https://host/api/huggingface/remote')).toBe('https://host/api/huggingface/remote');
    for (const wrong of ['hf-mirror.com', 'ftp://host', 'https://host/?a=1']) {
      expect(() => endpoint(wrong), wrong).toThrow(/HF_ENDPOINT is/);
    }
  });
});

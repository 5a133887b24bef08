import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { folderWith, inputError } from './files.ts';

const sound = 'data: {manifest: a.jsonl}\noutput: runs/x\n';

const refusal = (text: string, set: readonly string[] = []) =>
  inputError(() => loadConfig({ config: 'a', set, folder: folderWith({ 'a.yaml': text }) }));

const laughs = (lines: number, width: number): string =>
  ['a0: &a0 [ha, ha]', ...Array.from({ length: lines }, (_, i) => line(i + 1, width))].join('\n');
const line = (i: number, width: number) =>
  `a${i}: &a${i} [${Array(width)
    .fill(`*a${i - 1}`)
    .join(', ')}]`;

describe('a configuration from a stranger is refused, quickly and by name', () => {
  it.each<[string, string, RegExp]>([
    ['a billion laughs', laughs(10, 10), /Excessive alias count/],
    ['laughs as merged maps', 'a: &a {b: {c: 1}}\nd: &d {<<: *a}\ne: {<<: [*d, *d, *a]}\n', /unknown key/],
    ['an alias inside what it names', 'model: &a {llm: *a}\n', /./],
    ['a list inside itself', 'lora: {targets: &a [*a]}\n', /./],
    ['lists in lists', `model: ${'['.repeat(20_000)}`, /nested/],
    ['lists in lists, closed', `model: ${'['.repeat(20_000)}${']'.repeat(20_000)}`, /nested/],
    ['lists in lists, over lines', `model:\n${'- '.repeat(20_000)}x`, /nested/],
    ['maps in maps', `model: ${'{a: '.repeat(20_000)}1${'}'.repeat(20_000)}`, /nested/],
    ['maps in maps, not very deep', `model: ${'{a: '.repeat(200)}1${'}'.repeat(200)}`, /nested/],
    ['__proto__', '__proto__: {output: x}\n', /"__proto__" is not allowed/],
    ['__proto__ in quotes', 'model: {"__proto__": {llm: x}}\n', /"__proto__" is not allowed/],
    ['__proto__ by its escapes', 'model: {"\\x5f_proto__": {llm: x}}\n', /"__proto__" is not allowed/],
    ['__proto__ as an alias', 'output: &a __proto__\nmodel: {*a : {llm: x}}\n', /"__proto__" is not allowed/],
    ['__proto__ with a tag', 'model: {!!str __proto__: {llm: x}}\n', /"__proto__" is not allowed/],
    ['constructor', 'constructor: {prototype: {output: x}}\n', /constructor: unknown key/],
    ['prototype', 'model: {prototype: 1, toString: 2}\n', /model\.prototype: unknown key.*model\.toString/s],
    ['a map as a key', '? {a: 1}\n: 2\n', /unknown key/],
    ['a tag of JavaScript', 'output: !!js/function "() => 1"\n', /not valid YAML/],
    ['two documents', `${sound}---\n${sound}`, /not valid YAML/],
    ['a key twice', `${sound}output: y\n`, /not valid YAML: Map keys must be unique/],
    ['a long scalar', `${sound}model: {llm: "${'x'.repeat(2 ** 21)}"}\n`, /at most 1048576/],
    ['a number beyond all numbers', `${sound}train: {seed: ${'9'.repeat(5000)}}\n`, /train\.seed/],
    ['a hole of zeros', '\0'.repeat(5000), /./],
    ['a merge of what is no map', 'model: {<<: 3}\n', /Merge sources must be maps/],
    ['a name with a zero byte', 'extends: "a\\0"\n', /extends: there is no/],
    ['a name that is too long', `extends: ${'x'.repeat(300)}\n`, /extends: there is no/],
    ['a preset of a long name', `extends: paper:qwen2-7b/${'x'.repeat(2 ** 19)}\n`, /there is no preset/],
    [
      'a list of many presets',
      `extends: [${'paper:qwen2-7b/x, '.repeat(9000)}]\n`,
      /or a list of such names/,
    ],
    ['a list inside itself, extended', 'extends: &a [*a]\n', /./],
    ['a thousand faults', 'a: [}\n'.repeat(1000), /not valid YAML/],
  ])('%s', (_, text, message) => {
    const error = refusal(text);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toMatch(message);
    expect(error.message.length).toBeLessThan(20_000);
  });

  it('a file of 1 GB, before it is read', () => {
    const folder = folderWith({ 'a.yaml': sound });
    truncateSync(path.join(folder, 'a.yaml'), 2 ** 30);
    const error = inputError(() => loadConfig({ config: 'a', folder }));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('1073741824') });
  });

  it('what is not UTF-8', () => {
    const folder = folderWith({});
    writeFileSync(path.join(folder, 'a.yaml'), Buffer.from('output: "\xe4"\n', 'latin1'));
    expect(inputError(() => loadConfig({ config: 'a', folder })).message).toContain('not UTF-8');
  });

  it('the same on the command line', () => {
    expect(refusal(sound, ['model.__proto__.llm=x']).message).toContain('"__proto__" is not allowed');
    expect(refusal(sound, ['model={"__proto__": {llm: x}}']).message).toContain('"__proto__" is not allowed');
    expect(refusal(sound, [`model=${'['.repeat(20_000)}`]).message).toContain('nested');
    expect(refusal(sound, [`${'a.'.repeat(20_000)}a=1`]).message).toContain('nested');
    expect(refusal(sound, ['constructor.prototype.x=1']).message).toContain('constructor: unknown key');
  });

  it('and nothing of it reaches other objects', () => {
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect(({} as { output?: string }).output).toBeUndefined();
  });
});

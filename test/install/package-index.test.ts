import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os, { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findPackageIndex } from '../../src/install/package-index.ts';
import { readProjectPage } from '../../src/install/project-page.ts';

let folder: string;
let environment: Record<string, string>;

function write(name: string, text: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}
const found = (given?: string) => {
  const { url, source } = findPackageIndex(given, environment);
  return [url, source];
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'affectgpt-pip-'));
  vi.spyOn(os, 'homedir').mockReturnValue(join(folder, 'home'));
  environment = { XDG_CONFIG_HOME: join(folder, 'user'), XDG_CONFIG_DIRS: join(folder, 'shared') };
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

describe('the package index', () => {
  it('is the public one, or what pip finds, the stronger place first', () => {
    expect(found()[0]).toBe('https://pypi.org/simple/');
    const shared = write('shared/pip/pip.conf', '[global]\nindex-url = https://shared.test/simple\n');
    expect(found()).toEqual(['https://shared.test/simple/', shared]);
    const user = write(
      'user/pip/pip.conf',
      '# ours\n[global]\ntimeout=3\nindex_url: https://user.test/simple/\n',
    );
    expect(found()).toEqual(['https://user.test/simple/', user]);
    environment.VIRTUAL_ENV = join(folder, 'venv');
    const site = write('venv/pip.conf', '[global]\nindex-url=https://site.test/s\n');
    expect(found()).toEqual(['https://site.test/s/', site]);
    environment.PIP_CONFIG_FILE = write(
      'named.conf',
      '[global]\nindex-url = https://named.test/s\n[install]\nindex-url = https://no.test\n',
    );
    expect(found()).toEqual(['https://named.test/s/', environment.PIP_CONFIG_FILE]);
    write('shared/pip/pip.conf', '[download]\nindex-url = https://download.test/s\n');
    expect(found()[0]).toBe('https://download.test/s/');
    environment.PIP_INDEX_URL = 'https://variable.test/s';
    expect(found()).toEqual(['https://variable.test/s/', 'PIP_INDEX_URL']);
    expect(found('http://given.test')).toEqual(['http://given.test/', '--index-url']);
  });

  it('is not looked for in files when pip is told so, nor at all when pip may use none', () => {
    write('user/pip/pip.conf', '[global]\nindex-url = https://user.test/simple/\n');
    environment.PIP_CONFIG_FILE = os.devNull;
    expect(found()[0]).toBe('https://pypi.org/simple/');
    environment.PIP_NO_INDEX = '1';
    expect(() => found()).toThrow(/PIP_NO_INDEX.*--wheel-dir/);
    expect(found('https://given.test')[0]).toBe('https://given.test/');
  });

  it('keeps name and password out of its address and out of errors', () => {
    environment.PIP_INDEX_URL = 'https://me:s%40cret@host.test/simple';
    const index = findPackageIndex(undefined, environment);
    expect(index.url).toBe('https://host.test/simple/');
    expect(index.authorization).toBe(`Basic ${Buffer.from('me:s@cret').toString('base64')}`);
    environment.PIP_INDEX_URL = 'ftp://me:secret@host.test/simple';
    expect(() => found()).toThrow(/PIP_INDEX_URL/);
    expect(() => found()).not.toThrow(/secret/);
  });
});

describe('the page of a project', () => {
  const url = 'https://index.test/simple/p/';
  it('may have relative links, a base, hashes or none', () => {
    const html = `<!DOCTYPE html><base href="https://files.test/x/"><a href="../a.whl#sha256=${'AB'.repeat(32)}">a.whl</a>
      <A rel=x HREF='b.whl?x=1&amp;y=2'> b.whl </A><a href="c.whl#md5=12">c.whl</a>`;
    expect(readProjectPage(html, 'text/html', url)).toEqual([
      { name: 'a.whl', url: 'https://files.test/a.whl', sha256: 'ab'.repeat(32) },
      { name: 'b.whl', url: 'https://files.test/x/b.whl?x=1&y=2', sha256: undefined },
      { name: 'c.whl', url: 'https://files.test/x/c.whl', sha256: undefined },
    ]);
    const json = JSON.stringify({
      files: [{ filename: 'a.whl', url: 'a.whl', hashes: {} }, 3, { filename: 'b' }],
    });
    expect(readProjectPage(json, 'application/vnd.pypi.simple.v1+json', url)).toEqual([
      { name: 'a.whl', url: 'https://index.test/simple/p/a.whl', sha256: undefined },
    ]);
  });

  it('is something else at times', () => {
    expect(readProjectPage('busy', 'text/plain', url)).toBeUndefined();
    expect(readProjectPage('{"a": 1}', 'application/json', url)).toBeUndefined();
    expect(readProjectPage('{', 'application/json', url)).toBeUndefined();
  });
});

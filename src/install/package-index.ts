import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { InputError } from '../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The Python package index that wheels come from. */
export interface PackageIndex {
  /** Address of the simple index, with a slash at its end and without credentials. */
  readonly url: string;
  /** Header that credentials in the address stand for; sent to that scheme, host and port alone. */
  readonly authorization: string | undefined;
  /** Where the address was found, for messages. */
  readonly source: string;
}

const publicIndex = 'https://pypi.org/simple';
/** Sections of pip's files that count for a download, the weaker one first. */
const sections = ['global', 'download'];

/** Files that pip reads on Linux, macOS and Windows, the weakest first. */
function configurationFiles(environment: Environment): string[] {
  const named = environment.PIP_CONFIG_FILE;
  // With the null device there pip reads no file at all.
  if (named === os.devNull) return [];
  const home = os.homedir();
  const withName = (folders: readonly string[], name: string) =>
    folders.map((folder) => path.join(folder, name));
  const users = environment.XDG_CONFIG_HOME || path.join(home, '.config');
  const site = environment.VIRTUAL_ENV ? [environment.VIRTUAL_ENV] : [];
  const last = named ? [named] : [];
  if (process.platform === 'win32') {
    const shared = withName([environment.ProgramData || 'C:\\ProgramData'], 'pip/pip.ini');
    const own = [path.join(home, 'pip', 'pip.ini'), path.join(environment.APPDATA || home, 'pip', 'pip.ini')];
    return [...shared, ...own, ...withName(site, 'pip.ini'), ...last];
  }
  const support = 'Library/Application Support/pip';
  const isMac = process.platform === 'darwin';
  const shared = (environment.XDG_CONFIG_DIRS || '/etc/xdg').split(':').filter(Boolean);
  return [
    ...(isMac ? [path.join('/', support, 'pip.conf')] : []),
    ...withName(shared.reverse(), 'pip/pip.conf'),
    '/etc/pip.conf',
    path.join(home, '.pip', 'pip.conf'),
    ...(isMac ? [path.join(home, support, 'pip.conf')] : []),
    path.join(users, 'pip', 'pip.conf'),
    ...withName(site, 'pip.conf'),
    ...last,
  ];
}

/** Settings of one of pip's files by section: the form of Python's configparser, without interpolation. */
function readConfiguration(file: string): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  for (const line of readFileSync(file, 'utf8').split(/\r?\n/)) {
    const [, heading] = /^\[([^\]]+)\]/.exec(line) ?? [];
    if (heading !== undefined) {
      section = found.get(heading) ?? new Map();
      found.set(heading, section);
      continue;
    }
    // Indented lines go on with a list; comments begin with # or ;.
    const [, key, value] = /^([^\s#;=:][^=:]*?)\s*[=:]\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) section.set(key.toLowerCase().replaceAll('_', '-'), value);
  }
  return found;
}

/** What pip would take for an option: its variable of the environment, else the strongest file that has it. */
function pipOption(name: string, environment: Environment): { value: string; source: string } | undefined {
  const variable = `PIP_${name.toUpperCase().replaceAll('-', '_')}`;
  const value = environment[variable];
  if (value) return { value, source: variable };
  const files = configurationFiles(environment).filter((file) => existsSync(file));
  const read = files.reverse().map((file) => ({ file, found: readConfiguration(file) }));
  // In pip the section of the command is stronger than [global], in whichever file it stands.
  for (const section of [...sections].reverse()) {
    for (const { file, found } of read) {
      const written = found.get(section)?.get(name);
      if (written) return { value: written, source: file };
    }
  }
  return undefined;
}

/**
 * The index that pip would use: the given address, else `PIP_INDEX_URL`, else `index-url` of pip's files (system, user,
 * virtual environment, `PIP_CONFIG_FILE`), else pypi.org.
 *
 * @param given the value of `--index-url`
 * @throws InputError `INDEX_INVALID`, which repeats no credentials; `INDEX_OFF` where pip is told to use none
 */
export function findPackageIndex(
  given: string | undefined,
  environment: Environment = process.env,
): PackageIndex {
  const off = given === undefined ? pipOption('no-index', environment) : undefined;
  if (off !== undefined && /^(1|y|yes|t|true|on)$/i.test(off.value)) {
    throw new InputError(
      'INDEX_OFF',
      `${off.source} tells pip to use no package index. Name one with --index-url, or a folder that holds the wheel with --wheel-dir.`,
    );
  }
  const found =
    given === undefined
      ? (pipOption('index-url', environment) ?? { value: publicIndex, source: 'the default of pip' })
      : { value: given, source: '--index-url' };
  const url = URL.canParse(found.value) ? new URL(found.value) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InputError(
      'INDEX_INVALID',
      `The address of the package index (${found.source}) cannot be used; expected is one as https://pypi.org/simple.`,
    );
  }
  const { address, authorization } = splitCredentials(url);
  const plain = address.href.replace(/\/*$/, '/');
  return { url: plain, authorization, source: found.source };
}

/** An address without the name and password that it may hold, and the header that stands for them. */
export function splitCredentials(url: URL): { address: URL; authorization: string | undefined } {
  const address = new URL(url);
  address.username = '';
  address.password = '';
  if (url.username === '' && url.password === '') return { address, authorization: undefined };
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { address, authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/** Rooms that know tensors and parameters, never files, configs or the command line; each may import those before it. */
const TENSOR_ROOMS = ['src/engine', 'lora', 'encoders', 'fusion', 'model'] as const;
/** What stands above them, from the bottom up; each may import all below it, tensor rooms and leaves included. */
const PROGRAM_ROOMS = [
  'src/hub',
  'src/install',
  'src/llm',
  'src/data',
  'src/runtime',
  'train',
  'src/runs',
  'src/predict',
  'src/import',
  'src/eval',
  'src/export',
  'src/sweep',
  'src/bench',
  'src/quickstart',
  'src/cli',
] as const;
/** Rooms that import nothing of ours. */
const LEAVES = ['src/io', 'src/native', 'src/config', 'src/report'] as const;
/** Foreign libraries are called from here. */
const COLLECTIVE = 'src/collective';

/** Folders of the program and what each may import; everybody may import src/errors.ts. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(LEAVES.map((room) => [room, []])),
  [COLLECTIVE]: ['src/native'],
  ...Object.fromEntries(
    TENSOR_ROOMS.map((room, i) => [room, i === 0 ? ['src/io', 'src/native'] : TENSOR_ROOMS.slice(0, i)]),
  ),
  ...Object.fromEntries(
    PROGRAM_ROOMS.map((room, i) => [
      room,
      [...LEAVES, COLLECTIVE, ...TENSOR_ROOMS, ...PROGRAM_ROOMS.slice(0, i)],
    ]),
  ),
};
const SHARED = 'src/errors.ts';
const TOP_FOLDERS = ['src', 'model', 'encoders', 'fusion', 'lora', 'train', 'test'];
const LONGEST_FILE = 400;

type Files = ReadonlyMap<string, string>;

/** The room of a file, or undefined for a file outside all of them. */
const roomOf = (file: string) => Object.keys(ROOMS).find((room) => file.startsWith(`${room}/`));

/** Everything a file imports, types and dynamic imports included. */
function importsOf(text: string): string[] {
  const pattern = /(?:^|[\s;}])(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g;
  return [...text.matchAll(pattern)].map((match) => match[1]!);
}

function violations(files: Files): string[] {
  return [...files].flatMap(([file, text]) => {
    const found: string[] = [];
    const inTest = file.startsWith('test/');
    const room = roomOf(file);
    if (!inTest && room === undefined && file !== SHARED) found.push('is in no room');
    for (const target of importsOf(text)) {
      if (target.startsWith('@tensorflow/tfjs-core')) found.push(`imports ${target} (one copy of tfjs only)`);
      if (inTest || !target.startsWith('.')) continue;
      const imported = path.posix.join(path.posix.dirname(file), target);
      const other = roomOf(imported);
      const allowed =
        imported === SHARED ||
        (other !== undefined && (other === room || ROOMS[room ?? '']?.includes(other)));
      if (!allowed) found.push(`imports ${imported}`);
    }
    if (!inTest && room !== 'src/engine' && /\bsetBackend\s*\(/.test(text))
      found.push('sets the tfjs backend');
    const lines = text.split('\n').length - 1;
    if (lines > LONGEST_FILE) found.push(`has ${lines} lines, more than ${LONGEST_FILE}`);
    return found.map((what) => `${file} ${what}`);
  });
}

function readAll(): Files {
  const names = TOP_FOLDERS.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => path.posix.join(folder, name.split(path.sep).join('/'))),
  );
  return new Map(names.map((name) => [name, readFileSync(name, 'utf8')]));
}

describe('rooms', () => {
  const files = readAll();

  it('are all there and hold the program', () => {
    expect(Object.keys(ROOMS)).toHaveLength(25);
    expect(files.size).toBeGreaterThan(80);
    const filled = new Set([...files.keys()].map(roomOf));
    for (const room of [
      'src/io',
      'src/engine',
      'src/config',
      'src/data',
      'src/cli',
      'model',
      'encoders',
      'fusion',
      'lora',
      'train',
    ]) {
      expect(filled, room).toContain(room);
    }
  });

  it('import only what lies below them, share one tfjs, and keep files short', () => {
    expect(violations(files)).toEqual([]);
  });

  it('would notice', () => {
    // Put together here, so that this file does not break the rule itself.
    const core = ['@tensorflow', 'tfjs-core'].join('/');
    const wrong: Files = new Map([
      ['model/a.ts', "import type { B } from '../src/io/b.ts';\nimport { e } from '../src/errors.ts';\n"],
      ['src/engine/b.ts', "const { c } = await import('../../model/c.ts');\nexport * from '../io/d.ts';\n"],
      ['src/data/c.ts', "import { load } from '../config/load.ts';\nawait tf.setBackend('cpu');\n"],
      ['src/config/d.ts', "import {\n  io,\n} from '../io/x.ts';\n"],
      ['src/misc/e.ts', '\n'],
      ['src/quickstart/f.ts', "import '../cli/main.ts';\n"],
      ['test/g.test.ts', `import * as tf from '${core}';\nawait tf.setBackend('cpu');\n`],
      ['train/h.ts', 'x\n'.repeat(401)],
    ]);
    expect(violations(wrong)).toEqual([
      'model/a.ts imports src/io/b.ts',
      'src/engine/b.ts imports model/c.ts',
      'src/data/c.ts sets the tfjs backend',
      'src/config/d.ts imports src/io/x.ts',
      'src/misc/e.ts is in no room',
      'src/quickstart/f.ts imports src/cli/main.ts',
      'test/g.test.ts imports @tensorflow/tfjs-core (one copy of tfjs only)',
      'train/h.ts has 401 lines, more than 400',
    ]);
  });
});

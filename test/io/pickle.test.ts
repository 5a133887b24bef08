import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { numpyKind, type PickledArray, type PickleValue, unpickle } from '../../src/io/pickle.ts';
import { torchKind } from '../../src/io/torch/kind.ts';
import { withZip } from '../../src/io/zip.ts';
import { fixturePath } from '../support/fixture.ts';
import { isMissing, publishedFiles } from '../support/published-files.ts';

const fixture = (name: string) => readFile(fixturePath(`torch/${name}`));
const read = (bytes: Uint8Array | string, kind = torchKind): PickleValue =>
  unpickle(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, { kind, where: 'file.pkl' })
    .value;

/** The error of a pickle that has to be refused. */
function refusal(bytes: Uint8Array | string, kind = torchKind) {
  try {
    read(bytes, kind);
  } catch (error) {
    return error as Error & { code: string };
  }
  throw new Error('was accepted');
}

const dict = (entries: Record<string, unknown>) => new Map(Object.entries(entries));

/** As test/fixtures/torch/make.py has it. */
const nested = dict({ list: [[1], dict({ k: [null] })] });
const values = dict({
  none: null,
  true: true,
  false: false,
  small: 7,
  negative: -5,
  word: 70000,
  big: 2n ** 70n,
  float: 1.5,
  text: 'é € 😀 \\ \n',
  bytes: Uint8Array.of(0, 255),
  empty: [[], [], new Map(), new Uint8Array(0), ''],
  tuples: [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]],
  set: new Set([3]),
  frozen: new Set(['a']),
  ordered: dict({ a: 1 }),
  nested,
  infinite: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  again: nested,
});

describe('unpickle', () => {
  it.each([0, 1, 2, 3, 4, 5])('reads what Python writes with protocol %d', async (protocol) => {
    const read_ = read(await fixture(`values-protocol${protocol}.pkl`)) as Map<string, unknown>;
    expect(read_).toEqual(values);
    expect(read_.get('again')).toBe(read_.get('nested'));
  });

  it('reads the old opcodes for containers, and what Python 2 wrote', () => {
    expect(read('(lp0\nI1\naF-2.5e3\naL12345678901234567890L\na.')).toEqual([
      1,
      -2500,
      12345678901234567890n,
    ]);
    expect(read("(dS'a\\x41\\n'\nI01\ns.")).toEqual(dict({ 'aA\n': true }));
    expect(read('(I1\nI2\nt.')).toEqual([1, 2]);
    expect(read('U\x02hiq\x000h\x00.')).toBe('hi');
    expect(read('T\x02\x00\x00\x00hi.')).toBe('hi');
  });

  it('says where one pickle ends, for files that hold several', () => {
    const bytes = Buffer.from('K\x01.K\x02.', 'latin1');
    const first = unpickle(bytes, { kind: torchKind, where: 'f' });
    expect(first).toEqual({ value: 1, end: 3 });
    expect(unpickle(bytes, { kind: torchKind, where: 'f', start: first.end })).toEqual({ value: 2, end: 6 });
  });
});

describe('a hostile pickle', () => {
  it.each([
    ['os.system by REDUCE', 'cos\nsystem\n(S"true"\ntR.', 'os.system'],
    ['builtins.eval', '\x80\x02cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R.', 'builtins.eval'],
    ['STACK_GLOBAL', '\x80\x04\x8c\x02os\x8c\x06system\x93.', 'os.system'],
    ['INST', '(S"true"\nios\nsystem\n.', 'os.system'],
    ['OBJ', '(cos\nsystem\nS"true"\no.', 'os.system'],
    ['NEWOBJ', 'csubprocess\nPopen\n)\x81.', 'subprocess.Popen'],
    ['in a persistent id', 'cos\nsystem\nX\x04\x00\x00\x00true\x85RQ.', 'os.system'],
    ['a name with a dot', '\x80\x04\x8c\x05torch\x8c\x0fserialization.x\x93.', 'torch.serialization.x'],
    ['code in a string', 'ctorch.storage\n_load_from_bytes\n(S"x"\ntR.', 'torch.storage._load_from_bytes'],
    ['attributes', 'cbuiltins\ngetattr\n.', 'builtins.getattr'],
    ['names of JavaScript', 'cconstructor\nconstructor\n.', 'constructor.constructor'],
    ['a name that would break lines', 'cos\nsys\x07tem\n.', 'os.sys?tem'],
  ])('is refused by name: %s', (_, bytes, name) => {
    const { code, message } = refusal(bytes);
    expect(code).toBe('PICKLE_FORBIDDEN');
    expect(message).toContain(`it refers to ${name}, which`);
    expect(message).toMatch(/^file\.pkl, byte \d+: /);
  });

  it.each([
    ['EXT1', '\x80\x02\x82\x01.'],
    ['EXT2', '\x80\x02\x83\x01\x00.'],
    ['EXT4', '\x80\x02\x84\x01\x00\x00\x00.'],
    ['NEXT_BUFFER', '\x80\x05\x97.'],
    ['READONLY_BUFFER', '\x80\x05\x98.'],
    ['0xff', '\xff.'],
  ])('is refused for its opcode %s', (name, bytes) => {
    const { code, message } = refusal(bytes);
    expect(code).toBe('PICKLE_OPCODE');
    expect(message).toContain(`opcode ${name}`);
  });

  it.each([
    ['calls what is no global', 'K\x01)R.', 'PICKLE_FORBIDDEN'],
    ['calls a value', 'ctorch\nfloat16\n)R.', 'PICKLE_FORBIDDEN'],
    ['gives a dictionary a state', '}}b.', 'PICKLE_FORBIDDEN'],
    [
      'calls with named arguments',
      '\x80\x04ccollections\nOrderedDict\n)}K\x01K\x02s\x92.',
      'PICKLE_FORBIDDEN',
    ],
    ['gives wrong arguments', 'ctorch\nSize\nK\x05\x85R.', 'PICKLE_INVALID'],
    ['has no stack', '.', 'PICKLE_INVALID'],
    ['takes more than there is', 'K\x01\x86.', 'PICKLE_INVALID'],
    ['takes across a mark', 'K\x01(0R.', 'PICKLE_INVALID'],
    ['has no mark', 'K\x01t.', 'PICKLE_INVALID'],
    ['recalls nothing', 'h\x09.', 'PICKLE_INVALID'],
    ['appends to a number', 'K\x01K\x02a.', 'PICKLE_INVALID'],
    ['has a key twice', '}(K\x01K\x02K\x01K\x03u.', 'PICKLE_INVALID'],
    ['has a key without value', '(K\x01d.', 'PICKLE_INVALID'],
    ['is not UTF-8', 'U\x01\xff.', 'PICKLE_INVALID'],
    ['has digits that are none', 'I1x\n.', 'PICKLE_INVALID'],
    ['has a huge number', `L${'9'.repeat(5000)}L\n.`, 'PICKLE_INVALID'],
    ['has a huge binary number', '\x8b\xff\xff\xff\x7f.', 'PICKLE_LIMIT'],
    ['has an unknown protocol', '\x80\x09.', 'PICKLE_OPCODE'],
    ['has a persistent id', 'K\x01Q.', 'PICKLE_PERSISTENT_ID'],
    ['has a persistent id in text', 'P1\n.', 'PICKLE_PERSISTENT_ID'],
  ])('that %s is refused', (_, bytes, code) => {
    expect(refusal(bytes)).toMatchObject({ name: 'InputError', code });
  });

  it.each([
    ['', 'nothing'],
    ['K', 'an argument'],
    ['X\xff\xff\xff\xff', 'a huge text'],
    ['\x8d\xff\xff\xff\xff\xff\xff\xff\xff', 'an impossible text'],
    ['\x8e\x00\x00\x00\x00\x00\x01\x00\x00', 'huge bytes'],
    ['\x96\x00\x00\x00\x00\x00\x01\x00\x00', 'a huge byte array'],
    ['cos', 'a line'],
    ['K\x01', 'the end'],
  ])('that is cut off is refused: %j', (bytes) => {
    expect(refusal(bytes).code).toBe('PICKLE_TRUNCATED');
  });

  it('cannot fill the memory from a few bytes', () => {
    // A text of 1 MB that is remembered and encoded again and again.
    const text = `X\x00\x00\x10\x00${'a'.repeat(1 << 20)}q\x00`;
    const again = 'c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R0'.repeat(200);
    expect(refusal(`${text}${again}.`).code).toBe('PICKLE_LIMIT');
  });

  it('may nest as deep as it likes', () => {
    const depth = 500_000;
    let value = read(`${']'.repeat(depth)}${'a'.repeat(depth - 1)}.`);
    let found = 0;
    for (; Array.isArray(value); value = value[0]!) found++;
    expect(found).toBe(depth);
  });
});

describe('arrays of Python objects', () => {
  it.each(['numpy.pkl', 'numpy-protocol2.pkl'])('are read as numpy writes them: %s', async (name) => {
    const [objects, matrix, texts, bytes, bigEndian, truth, half] = read(await fixture(name), numpyKind) as [
      PickledArray,
      PickledArray,
      PickledArray,
      PickledArray,
      PickledArray,
      PickledArray,
      number,
    ];
    expect(objects.values).toEqual([
      dict({ emo: 'sad', val: -1.5 }),
      dict({ emo: 'happy', val: 2.5, n: 2n ** 60n }),
    ]);
    expect(matrix).toMatchObject({ shape: [2, 2], values: [1, 2, 3, 4], fortranOrder: false });
    expect(texts.values).toEqual(['a', 'bcd', '']);
    expect([...(bytes.values[0] as Uint8Array)]).toEqual([120]);
    expect(bigEndian.values).toEqual([1.5]);
    expect(truth).toMatchObject({ shape: [], values: [true] });
    expect(half).toBe(0.5);
  });

  it('may not refer to anything else', () => {
    expect(refusal('cposix\nsystem\n.', numpyKind).message).toContain('posix.system');
    expect(refusal('ctorch._utils\n_rebuild_tensor_v2\n.', numpyKind).code).toBe('PICKLE_FORBIDDEN');
    expect(refusal('cnumpy\nndarray\n)R.', numpyKind).code).toBe('PICKLE_FORBIDDEN');
    const wrongShape =
      'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85S"b"\ntR(K\x01K\x05\x85cnumpy\ndtype\nS"O8"\n\x85R\x89]tb.';
    expect(refusal(wrongShape, numpyKind)).toMatchObject({
      code: 'PICKLE_INVALID',
      message: expect.stringContaining('state of numpy.core.multiarray._reconstruct'),
    });
  });

  const folder = path.join(publishedFiles.merUnibench, 'labels');
  it.skipIf(isMissing('published label files (AFFECTGPT_MER_UNIBENCH)', folder))(
    'are read in the published label files',
    async () => {
      for (const name of readdirSync(folder).filter((file) => file.endsWith('.npz'))) {
        await withZip(path.join(folder, name), async (archive) => {
          for (const entry of archive.entries.values()) {
            const npy = await archive.read(entry, 1e8);
            const start = 10 + npy.readUInt16LE(8);
            const array = unpickle(npy, { kind: numpyKind, where: name, start }).value as PickledArray;
            const corpus = array.values[0] as Map<string, Map<string, unknown>>;
            expect(corpus.size).toBeGreaterThan(200);
            for (const label of corpus.values()) expect([...label.keys()].sort()).toEqual(['emo', 'val']);
          }
        });
      }
    },
  );
});

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { readManifest } from '../../src/data/manifest.ts';
import { checkWaveLength } from '../../src/data/media/audio.ts';
import { openSafetensors, readFloat32, readTensor, writeSafetensors } from '../../src/io/safetensors.ts';
import type { Random } from '../../src/quickstart/random.ts';
import { damage, type FuzzOutcome, type FuzzSource, fuzz } from './fuzz.ts';

/** What damaged files are made from. */
export type ReaderKind = 'safetensors' | 'manifest' | 'configuration' | 'wave';

/** Reads damaged copies of real files of one kind, always the same ones for a seed. */
export async function fuzzReader(
  kind: ReaderKind,
  { cases, seed, folder }: { readonly cases: number; readonly seed: number; readonly folder: string },
): Promise<FuzzOutcome> {
  return fuzz(await gather[kind](folder), { cases, seed, name: kind });
}

/** A source whose copies are read from a file of that name. */
function fromFile(
  kind: string,
  path: string,
  bytes: Buffer,
  read: (path: string) => unknown,
  damagedCopy?: FuzzSource['damagedCopy'],
): FuzzSource {
  const readCopy = (copy: Buffer) => {
    writeFileSync(path, copy);
    return read(path);
  };
  return { kind, name: path, bytes, read: readCopy, ...(damagedCopy && { damagedCopy }) };
}

const gather: Record<ReaderKind, (folder: string) => Promise<FuzzSource[]>> = {
  safetensors: async (folder) => {
    const path = join(folder, 'x.safetensors');
    const float = (size: number) => Float32Array.from({ length: size }, (_, i) => i);
    await writeSafetensors(
      path,
      {
        'a.weight': { dtype: 'F32', shape: [3, 4], data: float(12) },
        'a.bias': { dtype: 'F32', shape: [4], data: float(4), storage: 'BF16' },
        b: { dtype: 'F64', shape: [2, 0, 3], data: new Float64Array(0) },
        c: { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) },
        d: { dtype: 'F16', shape: [2, 3], data: new Uint16Array(6) },
        e: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
      },
      { format: 'pt' },
    );
    const bytes = readFileSync(path);
    const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
    const sources: FuzzSource[] = [];
    // A header that is damaged alone comes with the right length and so gets further.
    const damagedCopy = (random: Random): Buffer => {
      if (random.chance(0.3)) return damage(bytes, sources, random);
      const header = damage(bytes.subarray(8, headerEnd), sources, random);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(header.byteLength));
      return Buffer.concat([length, header, bytes.subarray(headerEnd)]);
    };
    sources.push(fromFile('safetensors', path, bytes, readTensors, damagedCopy));
    return sources;
  },
  manifest: async (folder) => {
    const rows = [
      { name: 'a', video: 'videos/a.mp4', subtitle: 'I, I "know"', labels: ['sad', 'tired'], valence: -1.5 },
      {
        id: 'b',
        audio: '../b.wav',
        sentiment: 'positive',
        split: 'train',
        description: 'Er seufzt \u2013 \u4f60.',
      },
      { name: 'c', face: 'c.npy', labels: 'happy;calm', video: null },
    ];
    const lines = `\ufeff${rows.map((row) => JSON.stringify(row)).join('\r\n')}\n`;
    const table = [
      'name,video,subtitle,labels,valence,split',
      'a,a.mp4,"I, I ""know""\nit",sad;tired,-1.5,train',
      'b,b.mp4,,happy,,',
      '',
      'c,c.mp4, \u4f60\u597d ,,0.25,test\n',
    ].join('\r\n');
    return [
      fromFile('lines', join(folder, 'm.jsonl'), Buffer.from(lines), readManifest),
      fromFile('table', join(folder, 'm.csv'), Buffer.from(table), readManifest),
    ];
  },
  configuration: async (folder) => {
    const read = () => loadConfig({ config: 'x.yaml', folder });
    const add = (text: Buffer) => fromFile('configuration', join(folder, 'x.yaml'), text, read);
    const shipped = readdirSync('configs').filter((name) => name.endsWith('.yaml'));
    const own = [
      'data: {manifest: "a.jsonl"}\noutput: runs/x\ncompat: {audioTail: div7}\n',
      'x: &a {lr: 1.0e-5}\ndata: {manifest: a}\noutput: |\n  runs/x\ntrain: {optimizer: {<<: *a}}\n',
      '? output\n: !!str "\\x41"\nlora:\n  targets:\n  - q_proj\n  - &v v_proj\nengine: {type: *v}\n',
    ];
    return [
      ...shipped.map((name) => add(readFileSync(join('configs', name)))),
      ...own.map((text) => add(Buffer.from(text))),
    ];
  },
  wave: async (folder) => {
    const bytes = Buffer.alloc(44 + 64);
    bytes.write(
      'RIFF\x64\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x40',
      'latin1',
    );
    return [fromFile('wave', join(folder, 'x.wav'), bytes, checkWaveLength)];
  },
};

async function readTensors(path: string): Promise<void> {
  const { size } = statSync(path);
  for (const entry of (await openSafetensors(path)).entries.values()) {
    const data = await readTensor(entry);
    if (data.byteLength > size) throw new Error(`${data.byteLength} of ${size} bytes`);
    if (/^B?F/.test(entry.dtype)) await readFloat32(entry);
  }
}

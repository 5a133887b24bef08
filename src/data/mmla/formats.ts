import type { MmlaFormat } from './format.ts';
import { releaseTsv } from './release-tsv.ts';
import { shareGptFormats } from './sharegpt.ts';
import { swift } from './swift.ts';
import { annomiFormat } from './upstream/annomi.ts';
import { emotydaFormat } from './upstream/emotyda.ts';
import { meldFormat } from './upstream/meld.ts';
import { mustardFormat } from './upstream/mustard.ts';

/** Every way in which samples of MMLA are stored. A new one is an entry here; which it is is told by content alone. */
export const mmlaFormats: readonly MmlaFormat[] = [
  releaseTsv,
  swift,
  ...shareGptFormats,
  meldFormat,
  emotydaFormat,
  annomiFormat,
  mustardFormat,
];

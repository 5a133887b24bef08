import { dirname, resolve } from 'node:path';
import { checkMediaFile } from '../../../data/media/ffmpeg.ts';
import type { MmlaFault } from '../../../data/mmla/format.ts';
import { mapMedia } from '../../../data/mmla/media.ts';
import { rowsInvalid } from '../../../data/mmla/read-file.ts';
import type { MmlaRecord } from '../../../data/mmla/records.ts';
import { listFaults } from '../../../data/records.ts';
import { InputError } from '../../../errors.ts';
import type { AskedSamples } from './asked-samples.ts';

/**
 * Gives samples the videos of this machine, each of which has to be there.
 *
 * @param mediaRoot where they lie in the folders of the released set (`mapMedia`); otherwise their paths are taken as the
 *   files name them, relative ones from the folder of the file
 * @throws InputError `MMLA_ROWS_INVALID` with every video that is not below the root, those of `checkVideos`
 */
export async function withVideos(
  asked: readonly AskedSamples[],
  mediaRoot: string | undefined,
): Promise<AskedSamples[]> {
  const faults: MmlaFault[] = [];
  const located: AskedSamples[] = [];
  for (const samples of asked) {
    const { task, gold, records } = samples;
    if (mediaRoot === undefined) {
      const named = records.map((record) =>
        record.media === undefined ? record : { ...record, media: resolve(dirname(gold), record.media) },
      );
      located.push({ ...samples, records: named });
      continue;
    }
    const mapped = await mapMedia(records, { root: mediaRoot, task });
    faults.push(...mapped.faults);
    located.push({ ...samples, records: mapped.records });
  }
  if (faults.length > 0) throw rowsInvalid(faults);
  await checkVideos(located.flatMap(({ records }) => records));
  return located;
}

/** @throws InputError `MMLA_MEDIA_MISSING` naming all samples without a video, and all whose video is not there or empty */
export async function checkVideos(records: readonly MmlaRecord[]): Promise<void> {
  const faults: string[] = [];
  for (const { id, media, origin } of records) {
    const fault =
      media === undefined
        ? 'no video'
        : await checkMediaFile(media).catch((error: InputError) => error.message);
    if (fault !== undefined) faults.push(`${origin}: "${id}": ${fault}`);
  }
  if (faults.length === 0) return;
  throw new InputError(
    'MMLA_MEDIA_MISSING',
    `The model is to be given the videos, and ${faults.length} of ${records.length} samples have none: ${listFaults(faults)}. Say where the videos lie (--media-root), or ask a model of text alone.`,
  );
}

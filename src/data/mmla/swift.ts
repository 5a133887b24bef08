import { readJsonl } from '../../io/jsonl.ts';
import type { MmlaFormat } from './format.ts';
import { firstLines } from './json-head.ts';
import { RecordCollector } from './record-collector.ts';

/**
 * Files of ms-swift: JSON Lines with the prompt as `query`, the answer as `response`, and one path in `videos`. Of all
 * released layouts the only one with test splits.
 */
export const swift: MmlaFormat = {
  name: 'ms-swift JSONL (query, response, videos)',
  recognises: ({ text }) =>
    firstLines(text).some((row) => 'query' in row && ('response' in row || 'videos' in row)),
  read: async (request) => {
    const collector = new RecordCollector(request);
    const { file } = request;
    const onBadRow = (row: number, { message }: Error) => {
      collector.badRow(row, message.replace(`${file}, row ${row}: `, '').replace(`${file}, row ${row} `, ''));
    };
    for await (const { row, value } of readJsonl(file, { onBadRow })) {
      const faults: string[] = [];
      const textOf = (key: string): string => {
        const member = value[key];
        if (typeof member === 'string') return member;
        faults.push(member === undefined ? `has no "${key}"` : `"${key}" is not text`);
        return '';
      };
      const prompt = textOf('query');
      const gold = textOf('response');
      const { videos } = value;
      const media = Array.isArray(videos) && videos.length === 1 ? (videos[0] as unknown) : undefined;
      if (videos === undefined) faults.push('has no "videos"');
      else if (typeof media !== 'string') faults.push('"videos" is not a list of one path');
      if (faults.length > 0) collector.badRow(row, faults.join('; '));
      else collector.addPrompt({ row, prompt, gold, media: String(media) });
    }
    return collector.result();
  },
};

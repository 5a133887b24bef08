import { writeReportFiles } from '../../report-folder.ts';
import type { Leaderboard } from './board.ts';
import { leaderboardHtml } from './html.ts';
import { leaderboardJson } from './json.ts';
import { leaderboardMarkdown } from './markdown.ts';

/**
 * Writes `leaderboard.md`, `leaderboard.html` and `leaderboard.json` into a folder.
 *
 * @returns the paths
 * @throws InputError of `writeReportFiles`
 */
export const writeLeaderboard = (folder: string, board: Leaderboard): Promise<string[]> =>
  writeReportFiles(folder, [
    ['leaderboard.md', leaderboardMarkdown(board)],
    ['leaderboard.html', leaderboardHtml(board)],
    ['leaderboard.json', `${JSON.stringify(leaderboardJson(board), null, 1)}\n`],
  ]);

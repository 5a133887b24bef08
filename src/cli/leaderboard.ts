import type { CommandModule } from 'yargs';
import { commandGroup } from './command-group.ts';
import { notify } from './notify.ts';
import { checkNamedOnce } from './option-values.ts';

interface LeaderboardArguments {
  reports: string[];
  mode: 'zero-shot' | 'sft' | 'it' | undefined;
  modality: 'text' | 'audio' | 'video' | undefined;
  size: 'small' | 'medium' | 'large' | 'unknown' | undefined;
  metric: 'ACC' | 'WF1' | 'WP' | 'F1' | 'R' | 'P';
  task: string[] | undefined;
  about: string[];
  output: string | undefined;
  json: boolean;
}

/** `affectgpt leaderboard mmla [REPORT…]` */
const mmlaCommand: CommandModule<object, LeaderboardArguments> = {
  command: 'mmla [reports..]',
  describe: 'Rank reports of eval mmla among the published rows of MMLA',
  builder: (args) =>
    args
      .positional('reports', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe:
          'Folders that eval mmla --output wrote, or their report.json; reports of the same model make one row. None: the published rows alone',
      })
      .option('mode', {
        choices: ['zero-shot', 'sft', 'it'] as const,
        describe: 'Published rows of this method only',
      })
      .option('modality', {
        choices: ['text', 'audio', 'video'] as const,
        describe: 'Published rows of models that see this only',
      })
      .option('size', {
        choices: ['small', 'medium', 'large', 'unknown'] as const,
        describe: 'Published rows of this size only: under 2B, 2B to under 20B, 20B and more, not known',
      })
      .option('metric', {
        choices: ['ACC', 'WF1', 'WP', 'F1', 'R', 'P'] as const,
        default: 'ACC' as const,
        describe: 'What is averaged, ranked by and shown for each task',
      })
      .option('task', {
        type: 'string',
        array: true,
        nargs: 1,
        requiresArg: true,
        describe:
          'Compare on this task, with others so named: averages and places are over them alone; may be repeated; all twelve by default',
      })
      .option('about', {
        type: 'string',
        array: true,
        nargs: 1,
        requiresArg: true,
        default: [] as string[],
        describe:
          'What reports do not say of a model, or in place of what they say, such as "NAME=sft,text,0.5B"; once for each model',
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        describe: 'Folder for leaderboard.json, leaderboard.md and leaderboard.html',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  async handler({ reports: paths, mode, modality, size, metric, task, about, output, json }) {
    checkNamedOnce('task', task);
    const { mmlaTask } = await import('../data/mmla/tasks.ts');
    const keys = task?.map((name) => mmlaTask(name).key);
    const { parseAbout } = await import('../eval/mmla/leaderboard/about.ts');
    const described = parseAbout(about);
    const { checkReportFolder } = await import('../eval/report-folder.ts');
    if (output !== undefined) await checkReportFolder(output);
    const { readReports } = await import('../eval/mmla/leaderboard/read-reports.ts');
    const { mergeReports } = await import('../eval/mmla/leaderboard/merge.ts');
    const { leaderboard } = await import('../eval/mmla/leaderboard/board.ts');
    const ours = mergeReports(await readReports(paths), described);
    const filter = {
      ...(mode !== undefined && { method: mode }),
      ...(modality !== undefined && { modality }),
      ...(size !== undefined && { size }),
    };
    const board = leaderboard(ours, metric, filter, keys);
    if (output !== undefined) {
      const { writeLeaderboard } = await import('../eval/mmla/leaderboard/write.ts');
      const written = await writeLeaderboard(output, board);
      notify(`wrote ${written.join(', ')}`);
    }
    if (json) {
      const { leaderboardJson } = await import('../eval/mmla/leaderboard/json.ts');
      process.stdout.write(`${JSON.stringify(leaderboardJson(board))}\n`);
      return;
    }
    const { leaderboardMarkdown } = await import('../eval/mmla/leaderboard/markdown.ts');
    process.stdout.write(leaderboardMarkdown(board));
  },
};

/** `affectgpt leaderboard mmla` */
export const leaderboardCommand = commandGroup(
  'leaderboard',
  'Rank reports among what is published about a benchmark',
  [mmlaCommand],
  'Say which benchmark: mmla.',
);

import type { CommandModule } from 'yargs';

interface RunsArguments {
  folder: string;
  json: boolean;
}

/** `affectgpt runs [FOLDER] [--json]` */
export const runsCommand: CommandModule<object, RunsArguments> = {
  command: 'runs [folder]',
  describe: 'List the runs below a folder with their state',
  builder: (args) =>
    args
      .positional('folder', { type: 'string', default: 'runs', describe: 'Where to look' })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  async handler({ folder, json }) {
    const { formatRuns, listRuns } = await import('../runs/list-runs.ts');
    const runs = await listRuns(folder);
    process.stdout.write(json ? `${JSON.stringify(runs, null, 2)}\n` : formatRuns(runs, folder));
  },
};

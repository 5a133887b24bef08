import type { CommandModule } from 'yargs';

interface ReportArguments {
  run: string;
  output: string | undefined;
}

/** `affectgpt report RUN [--output FILE]` */
export const reportCommand: CommandModule<object, ReportArguments> = {
  command: 'report <run>',
  describe: 'Write one HTML page about a run: curves, answers, data, configuration, environment',
  builder: (args) =>
    args
      .positional('run', { type: 'string', demandOption: true, describe: 'The folder of a run' })
      .option('output', {
        type: 'string',
        describe: 'File to write; report.html in the run folder by default',
      }),
  async handler({ run, output }) {
    const { writeRunReport } = await import('../runs/report-page.ts');
    process.stdout.write(`${await writeRunReport(run, output)}\n`);
  },
};

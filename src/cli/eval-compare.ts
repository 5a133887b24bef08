import type { CommandModule } from 'yargs';
import { usageError } from './errors.ts';
import { notify } from './notify.ts';
import { checkWhole } from './option-values.ts';
import { checkResamples, defaultResamples, fewestResamples } from './resamples.ts';

interface CompareArguments {
  reports: string[];
  'allow-differences': boolean;
  seed: number;
  resamples: number;
  output: string | undefined;
  json: boolean;
}

/** `affectgpt eval compare A B …` */
export const compareCommand: CommandModule<object, CompareArguments> = {
  command: 'compare [reports..]',
  describe: 'Put reports of eval mer-unibench side by side, with the published rows',
  builder: (args) =>
    args
      .positional('reports', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe:
          'Two or more folders that --output wrote, or their report.json; the others are compared with the first',
      })
      .option('allow-differences', {
        type: 'boolean',
        default: false,
        describe:
          'Also show reports of different protocols, tables, levels or extractors together, with that note',
      })
      .option('seed', { type: 'number', requiresArg: true, default: 42, describe: 'Of the paired bootstrap' })
      .option('resamples', {
        type: 'number',
        requiresArg: true,
        default: defaultResamples,
        describe: `Of the paired bootstrap, ${fewestResamples} at least`,
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        describe: 'Folder for compare.json, compare.md and compare.html',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  async handler({ reports: paths, seed, resamples, output, json, 'allow-differences': allowDifferences }) {
    checkWhole('seed', seed, 0);
    checkResamples(resamples);
    if (paths.length < 2) throw usageError('Name two or more reports to compare.');
    const { checkReportsThere, readReport } = await import('../eval/mer-unibench/compare/read-report.ts');
    const { compareReports } = await import('../eval/mer-unibench/compare/compare.ts');
    const { comparisonJson, comparisonMarkdown } = await import('../eval/mer-unibench/compare/format.ts');
    if (output !== undefined) {
      const { checkReportFolder } = await import('../eval/report-folder.ts');
      await checkReportFolder(output);
    }
    await checkReportsThere(paths);
    const reports = [];
    for (const path of paths) reports.push(await readReport(path));
    const comparison = compareReports(reports, { seed, resamples, allowDifferences });
    if (output !== undefined) {
      const { writeComparison } = await import('../eval/mer-unibench/compare/write.ts');
      const written = await writeComparison(output, comparison);
      notify(`wrote ${written.join(', ')}`);
    }
    process.stdout.write(
      json ? `${JSON.stringify(comparisonJson(comparison))}\n` : comparisonMarkdown(comparison),
    );
  },
};

import type { CommandModule } from 'yargs';
import type { MmlaFault } from '../data/mmla/format.ts';
import type { RebuiltTrain } from '../data/mmla/rebuild.ts';
import type { MmlaRecord } from '../data/mmla/records.ts';
import type { MmlaTask } from '../data/mmla/tasks.ts';
import { CheckError, InputError } from '../errors.ts';
import { usageError } from './errors.ts';

interface RebuildArguments {
  task: string;
  upstream: string[];
  mmla: string;
  output: string;
  partial: boolean;
  json: boolean;
}

/** All samples of the tables, and what is wrong with the others. */
async function readTables(files: readonly string[], task: MmlaTask) {
  const { emotydaFormat } = await import('../data/mmla/upstream/emotyda.ts');
  const records: MmlaRecord[] = [];
  const faults: MmlaFault[] = [];
  for (const file of files) {
    const result = await emotydaFormat.read({ file, task });
    records.push(...result.records);
    faults.push(...result.faults);
  }
  return { records, faults };
}

/** MMLA's own dev and test: always whole, since what is missing there would end up in train. */
async function readHeldOut(root: string, task: MmlaTask) {
  const { locateMmla } = await import('../data/mmla/locate.ts');
  const { readGold } = await import('../data/mmla/read-file.ts');
  const { dev, test } = await locateMmla(root, task);
  if (dev === undefined || test === undefined) {
    const missing = [...(dev === undefined ? ['dev'] : []), ...(test === undefined ? ['test'] : [])];
    throw new InputError(
      'MMLA_SPLIT_MISSING',
      `${root} has no ${missing.join(' and no ')} split of ${task.key}. Without both nobody knows which samples train must not have; --mmla takes the folder of the annotation files of MMLA.`,
    );
  }
  return { dev: await readGold(dev, task, 'dev'), test: await readGold(test, task, 'test') };
}

function formatRebuilt(task: MmlaTask, { records, published, labels, deviations }: RebuiltTrain): string {
  const rows = labels.map(({ label, rows, published: expected }) => {
    const wanted = expected === undefined ? '' : `  published ${expected}`;
    return `  ${label.padEnd(24)}${String(rows).padStart(6)}${wanted}\n`;
  });
  const differing = deviations.map((deviation) => `  not as published: ${deviation}\n`);
  return `${task.key} train: ${records.length} rows, published ${published}\n${rows.join('')}${differing.join('')}`;
}

/** `affectgpt data rebuild-mmla --task MELD-DA --upstream MELD.csv --mmla DIR --output train.jsonl` */
export const rebuildMmlaCommand: CommandModule<object, RebuildArguments> = {
  command: 'rebuild-mmla',
  describe: 'Rebuild a train split of MMLA from the tables that its authors took it from',
  builder: async (args) => {
    const { rebuildableTasks } = await import('../data/mmla/rebuild.ts');
    return args
      .option('task', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: `One of ${rebuildableTasks.join(', ')}`,
      })
      .option('upstream', {
        type: 'string',
        array: true,
        requiresArg: true,
        demandOption: true,
        describe:
          'Tables of EMOTyDA (folder Dataset): MELD.csv for MELD-DA, iemocap_session1.csv to iemocap_session5.csv for IEMOCAP-DA',
      })
      .option('mmla', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: "Folder of MMLA's annotation files: its dev and test samples are left out",
      })
      .option('output', {
        type: 'string',
        requiresArg: true,
        demandOption: true,
        describe: 'File to write, JSON Lines as those of ms-swift',
      })
      .option('partial', {
        type: 'boolean',
        default: false,
        describe: 'Leave out bad rows, and write the file although it is not as published',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print the report as JSON' });
  },
  async handler({ task: key, upstream: files, mmla, output, partial, json }) {
    const { mmlaTask } = await import('../data/mmla/tasks.ts');
    const { rebuildableTasks, rebuildTrainSplit, writeSwiftFile } = await import('../data/mmla/rebuild.ts');
    const { formatFault } = await import('../data/mmla/findings.ts');
    const { rowsInvalid } = await import('../data/mmla/read-file.ts');
    const task = mmlaTask(key);
    if (!(rebuildableTasks as readonly string[]).includes(key)) {
      throw usageError(`--task takes ${rebuildableTasks.join(' or ')}, not "${key}".`);
    }
    const { records: upstream, faults } = await readTables(files, task);
    if (faults.length > 0 && !partial) throw rowsInvalid(faults);
    const rebuilt = rebuildTrainSplit(task, { upstream, ...(await readHeldOut(mmla, task)) });
    const { records, published, labels, deviations } = rebuilt;
    const isWritten = deviations.length === 0 || partial;
    if (isWritten) await writeSwiftFile(output, task, records);
    const written = isWritten ? output : null;
    const report = {
      rebuild: key,
      rows: records.length,
      published,
      labels,
      deviations,
      faults,
      output: written,
    };
    const leftOut = faults.map((fault) => `  left out: ${formatFault(fault)}\n`).join('');
    const ending = isWritten ? `  ${records.length} rows in ${output}\n` : '';
    process.stdout.write(
      json ? `${JSON.stringify(report)}\n` : `${formatRebuilt(task, rebuilt)}${leftOut}${ending}`,
    );
    if (isWritten) return;
    throw new CheckError(
      'MMLA_REBUILD_DIFFERS',
      `The train split of ${key} is not as published (${deviations.length} differences, see the report), so ${output} was not written. Check that the tables and the annotation files are whole, or write it with --partial.`,
    );
  },
};

import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { buildProgram, writeSteadyWorkspace } from './lives.ts';
import { Matrix, matrixSteps, type PointResult } from './matrix.ts';
import { planPoints } from './points.ts';
import { checkPowerCuts, formatPowerCuts } from './power-cut-run.ts';
import { circumstances, formatTable, writeSection } from './report.ts';

// `npm run test:faults`: kills trainings at many points, resumes them, and compares them with one that was not killed.

const options = await yargs(hideBin(process.argv))
  .scriptName('npm run test:faults --')
  .option('seed', { type: 'number', default: 1, describe: 'chooses among the points of each kind' })
  .option('point', { type: 'number', array: true, describe: 'only these, by number' })
  .option('all', { type: 'boolean', default: false, describe: 'every write boundary, not one of each kind' })
  .option('list', { type: 'boolean', default: false, describe: 'print the points and end' })
  .option('write', { type: 'string', describe: 'page whose section "Kill matrix" is replaced' })
  .option('keep', { type: 'boolean', default: false, describe: 'keep the folders' })
  .strict()
  .parseAsync();

function progress({ point, killed, resumed, differences, seconds }: PointResult): void {
  const equal = differences.length === 0 ? 'equal' : `NOT EQUAL\n    ${differences.join('\n    ')}`;
  console.log(
    `${String(point.number).padStart(4)}  ${point.title}\n      ${killed}; resumed ${resumed}; ${equal} (${seconds.toFixed(1)} s)`,
  );
}

const folder = await mkdtemp(join(os.tmpdir(), 'affectgpt-faults-'));
const program = await buildProgram();
const started = performance.now();
let failed = 0;
try {
  const { config } = await writeSteadyWorkspace(join(folder, 'workspace'));
  const matrix = new Matrix({ program, config, folder });
  const reference = await matrix.reference();
  const plan = planPoints({
    seed: options.seed,
    steps: matrixSteps,
    reference: { ...reference.life, folder: reference.place.home },
    resumed: reference.resumed,
    all: options.all,
  });
  const chosen = plan.points.filter(({ number }) => options.point?.includes(number) ?? true);
  const writes = plan.points.filter(({ group }) => group === 'write').length;
  const coverage =
    `The uninterrupted run has ${plan.boundaries} write boundaries of ${plan.kinds} kinds; ` +
    `seed ${options.seed} has ${plan.points.length} points, ${writes} of them at ${options.all ? 'every boundary' : 'one boundary of each kind'}.`;
  console.log(`${coverage}\n`);
  if (options.list) {
    for (const { number, group, title } of plan.points) console.log(`${number}\t${group}\t${title}`);
  } else {
    const results = await Promise.all(
      chosen.map(async (point) => {
        const result = await matrix.run(point, reference);
        progress(result);
        return result;
      }),
    );
    const cuts = await checkPowerCuts(reference.life.operations, reference.place, join(folder, 'cuts'));
    const table = formatTable(results);
    const unequal = results.filter(({ differences }) => differences.length > 0).length;
    failed = unequal + cuts.faults.length;
    const minutes = ((performance.now() - started) / 60_000).toFixed(1);
    const summary = `${results.length - unequal} of ${results.length} points held: ended as planned, resumed, and equal to the uninterrupted run (${minutes} minutes, two processes at a time).`;
    const powerCuts = formatPowerCuts(cuts);
    console.log(`\n${table}\n\n${summary}\n\n${powerCuts}`);
    if (options.write !== undefined) {
      const text = [circumstances(), coverage, summary, powerCuts, table].join('\n\n');
      await writeSection(options.write, text);
    }
  }
} finally {
  await program.remove();
  if (options.keep || failed > 0) console.log(`The folders are in ${folder}.`);
  else await rm(folder, { recursive: true, force: true });
}
process.exitCode = failed > 0 ? 1 : 0;

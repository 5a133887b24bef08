import { createInterface } from 'node:readline';

/** A peer that measures nothing. Arguments: milliseconds of its runs, and what goes wrong. */
const [milliseconds, fault] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);

if (fault === 'compilation') {
  say('failed {"reason": "no compiler"}');
  process.exit(1);
}
if (fault === 'noise') say('hello');
say('ready {"first_ms": 12.5, "versions": {"fake": "1.0"}}');
let runs = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const [word, count] = line.split(' ');
  if (word === 'run') {
    if (fault === 'death' && runs > 0) {
      process.stderr.write('first line\nout of memory\n', () => process.exit(3));
      break;
    }
    const times = Array.from({ length: Number(count) }, () => ({ ms: Number(milliseconds) + runs++ }));
    say(JSON.stringify({ runs: fault === 'fewer' ? times.slice(1) : times }));
  } else {
    say('{"peak_rss_mb": 100, "roof_gflops_per_s": 200}');
    break;
  }
}

import type { Argv } from 'yargs';

/** What `affectgpt bench` does without the name of a case; the option that selects it is one that only it has. */
export interface BenchMode {
  /** Name of the option whose presence selects the mode, as on the command line. */
  readonly option: string;
  /** Adds that option and those that belong to it; `--json` is there already. */
  builder(args: Argv): Argv;
  /** @param args all options by name; those of the mode are there where they were given */
  handler(args: Readonly<Record<string, unknown>>): Promise<void>;
}

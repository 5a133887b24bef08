import type { Argv, CommandModule } from 'yargs';
import { commandGroup } from './command-group.ts';
import { presetsCommand } from './config-presets.ts';

/** `--config` and `--set`, the same for every command that reads a configuration. */
export interface ConfigArguments {
  config: string;
  set: string[];
}

/** Adds `--config` and `--set` to a command. */
export function withConfigOptions<Given>(args: Argv<Given>) {
  return args
    .option('config', {
      type: 'string',
      requiresArg: true,
      demandOption: true,
      describe: 'Configuration: a file, or a name looked for in the working folder and in the package',
    })
    .option('set', {
      type: 'string',
      array: true,
      nargs: 1,
      default: [] as string[],
      describe:
        'Set one key, as in --set train.steps=100, or those of a preset, as in --set extends=paper:qwen2-7b/mintrec; may be given many times',
    });
}

const validate: CommandModule<object, ConfigArguments> = {
  command: 'validate',
  describe: 'Check a configuration and list every error at once',
  builder: withConfigOptions,
  async handler({ config, set }) {
    const { loadConfig } = await import('../config/load.ts');
    const { file } = loadConfig({ config, set });
    process.stdout.write(`${file} is valid.\n`);
  },
};

const show: CommandModule<object, ConfigArguments> = {
  command: 'show',
  describe: 'Print a configuration with extends, --set and defaults resolved',
  builder: withConfigOptions,
  async handler({ config, set }) {
    const { loadConfig } = await import('../config/load.ts');
    const { renderConfig } = await import('../config/save.ts');
    const loaded = loadConfig({ config, set });
    process.stdout.write(renderConfig(loaded.config, loaded.sources));
  },
};

const schema: CommandModule<object, { format: string }> = {
  command: 'schema',
  describe: 'Print what a configuration may hold',
  builder: (args) =>
    args.option('format', {
      choices: ['json', 'markdown'] as const,
      default: 'json',
      describe: 'JSON Schema for editors, or the reference page',
    }),
  async handler({ format }) {
    const { configJsonSchema, configReference } = await import('../config/document.ts');
    process.stdout.write(
      format === 'markdown' ? configReference() : `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
    );
  },
};

/** `affectgpt config validate | show | schema | presets` */
export const configCommand = commandGroup(
  'config',
  'Check, print or document configurations',
  [validate, show, schema, presetsCommand],
  'Say what to do: validate, show, schema or presets.',
);

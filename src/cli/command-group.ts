import type { CommandModule } from 'yargs';

/**
 * A command that does nothing by itself: the first word after it says which of its own commands is meant.
 * @param demand what is said where that word is missing
 */
export const commandGroup = (
  command: string,
  describe: string,
  commands: readonly Pick<CommandModule, 'command'>[],
  demand: string,
): CommandModule => ({
  command,
  describe,
  builder: (args) =>
    args
      .command(commands as CommandModule[])
      .demandCommand(1, demand)
      .strict(),
  handler() {
    // Unreachable: yargs asks for one of the commands.
  },
});

import { hideBin } from 'yargs/helpers';
import { parityCommand } from './command.ts';

process.exitCode = await parityCommand(hideBin(process.argv), process);

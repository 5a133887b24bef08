import { z } from 'zod';
import { count } from './values.ts';

/** What a training does about NaN and infinity. */
export const badNumbersSchema = z.strictObject({
  action: z
    .enum(['stop', 'skip'])
    .default('stop')
    .describe(
      'What a step does whose loss or gradient is NaN or infinity: `stop` ends the run with exit code 3, `skip` leaves weights and optimizer as they were and goes on. Both name step, samples and the first such tensor, and write the batch to `dumps/` in the run folder for `affectgpt train --replay`.',
    ),
  limit: count()
    .default(10)
    .describe('Most steps of the whole run that `skip` passes over; the next one stops it.'),
});

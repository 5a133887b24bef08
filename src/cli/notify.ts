/** Says something about what is being done, beside the results: a line on standard error. */
export const notify = (message: string): void => void process.stderr.write(`${message}\n`);

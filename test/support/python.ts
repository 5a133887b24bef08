import { execaSync } from 'execa';

/** An interpreter that has some packages, or why there is none. */
export type Interpreter = { readonly python: string } | { readonly missing: string };

/** The interpreter named by AFFECTGPT_PYTHON, else `python3`, where it can import the packages. */
export function pythonWith(...packages: readonly string[]): Interpreter {
  const python = process.env.AFFECTGPT_PYTHON ?? 'python3';
  const { failed } = execaSync(python, ['-c', `import ${packages.join(', ')}`], { reject: false });
  return failed
    ? { missing: `${python} (AFFECTGPT_PYTHON) has not all of ${packages.join(', ')}` }
    : { python };
}

import type { Problem } from '../config/layer.ts';
import { suggest } from '../config/suggest.ts';
import { publishedTables } from './published-tables.ts';

/** Names of tables that there are none of. */
export function publishedProblems(names: readonly string[], where: string): Problem[] {
  const known = Object.keys(publishedTables);
  return names
    .filter((name) => !known.includes(name))
    .map((name) => {
      const meant = suggest(name, known);
      const hint = meant === undefined ? `there are: ${known.join(', ')}` : `did you mean "${meant}"?`;
      return { where, message: `published: there is no table "${name}"; ${hint}` };
    });
}

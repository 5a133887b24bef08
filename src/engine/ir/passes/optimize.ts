import type { SymbolicGraph } from '../symbolic.ts';
import { shareCommonSubexpressions } from './common-subexpressions.ts';
import { removeDeadCode } from './dead-code.ts';
import { simplify } from './simplify.ts';

/** The passes that every engine profits from, in order. */
export function optimize(graph: SymbolicGraph): SymbolicGraph {
  const passes = [removeDeadCode, simplify, shareCommonSubexpressions, simplify, removeDeadCode];
  return passes.reduce((current, pass) => pass(current), graph);
}

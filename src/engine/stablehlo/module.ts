import type { Dimensions } from '../ir/sizes.ts';
import type { SymbolicGraph } from '../ir/symbolic.ts';
import { statePrefix } from '../trace/trace.ts';
import { type ElementType, Emitter, type StablehloValue, tensorType } from './emitter.ts';

/** What an argument of a module stands for. */
export interface ModuleArgument {
  readonly kind: 'input' | 'weight';
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** A graph at concrete sizes as StableHLO text, and the order of what it takes and gives. */
export interface StablehloModule {
  readonly text: string;
  readonly arguments: readonly ModuleArgument[];
  /** Names as the graph has them: new state entries carry the prefix of the trace. */
  readonly results: readonly (Pick<StablehloValue, 'type' | 'shape'> & { readonly name: string })[];
  /** Arguments, by index, whose memory a result takes over where the caller donates them. */
  readonly donated: readonly number[];
}

/**
 * Writes `graph` at the given sizes of its named dimensions. Weights that it does not use are left out; the others are
 * arguments in the type they are stored in, and converted to float32 in the graph. A state entry that comes out with
 * the sizes it went in with may be written in place.
 *
 * @param weightTypes how each weight is stored, by name
 * @param options `replicas`: devices that run the module at once
 */
export function emitStablehlo(
  graph: SymbolicGraph,
  dimensions: Dimensions,
  weightTypes: Readonly<Record<string, ElementType>>,
  { replicas = 1 }: { readonly replicas?: number } = {},
): StablehloModule {
  const emitter = new Emitter(graph, dimensions, replicas);
  const used = new Set(graph.nodes.flatMap((node) => node.inputs).concat([...graph.outputs.values()]));
  const resultNames = [...graph.outputs.keys()];
  const declared: string[] = [];
  const moduleArguments: ModuleArgument[] = [];
  const donated: number[] = [];
  const argument = (entry: ModuleArgument, attributes = ''): StablehloValue => {
    const name = `%arg${moduleArguments.length}`;
    moduleArguments.push(entry);
    declared.push(`${name}: ${tensorType(entry)}${attributes}`);
    return { name, type: entry.type, shape: entry.shape };
  };
  for (const [name, id] of graph.inputs) {
    const described = emitter.describe(id);
    const result = resultNames.indexOf(statePrefix + name);
    const next = result < 0 ? undefined : emitter.describe(graph.outputs.get(statePrefix + name)!);
    const inPlace = next !== undefined && tensorType(next) === tensorType(described);
    if (inPlace) donated.push(moduleArguments.length);
    emitter.setValue(
      id,
      argument(
        { kind: 'input', name, ...described },
        inPlace ? ` {tf.aliasing_output = ${result} : i32}` : '',
      ),
    );
  }
  for (const [name, id] of graph.weights) {
    if (!used.has(id)) continue;
    const { type, shape } = emitter.describe(id);
    const stored = argument({ kind: 'weight', name, type: weightTypes[name] ?? type, shape });
    emitter.setValue(id, emitter.convert(stored, type));
  }
  for (const node of graph.nodes) emitter.node(node);
  const values = [...graph.outputs.values()].map((id) => emitter.value(id));
  const types = values.map((value) => tensorType(value)).join(', ');
  const attributes =
    replicas === 1
      ? ''
      : `attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = ${replicas} : i32} `;
  const text = [
    `module @${graph.name.replaceAll(/\W/g, '_')} ${attributes}{`,
    `  func.func public @main(${declared.join(', ')}) -> (${types}) {`,
    ...emitter.lines.map((line) => `    ${line}`),
    `    return ${values.map(({ name }) => name).join(', ')} : ${types}`,
    '  }',
    '}',
    '',
  ].join('\n');
  const results = resultNames.map((name, i) => {
    const { type, shape } = values[i]!;
    return { name, type, shape };
  });
  return { text, arguments: moduleArguments, results, donated };
}

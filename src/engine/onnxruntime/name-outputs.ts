import type { OnnxNode, OnnxValueInfo } from './model-file.ts';

/** Results are made under the names of outputs, without a copy; what is no result of a node, or two outputs, is copied. */
export function nameOutputs(
  nodes: readonly OnnxNode[],
  outputs: readonly { readonly info: OnnxValueInfo; readonly value: string }[],
): OnnxNode[] {
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const renamed = new Map<string, string>();
  const copies: OnnxNode[] = [];
  for (const { info, value } of outputs) {
    if (made.has(value) && !renamed.has(value)) renamed.set(value, info.name);
    else copies.push({ op: 'Identity', inputs: [renamed.get(value) ?? value], outputs: [info.name] });
  }
  const rename = (name: string) => renamed.get(name) ?? name;
  return [
    ...nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(rename),
      outputs: node.outputs.map(rename),
    })),
    ...copies,
  ];
}

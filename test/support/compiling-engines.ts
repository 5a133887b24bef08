import { hasOpenvino } from './openvino.ts';
import { hasXla } from './xla.ts';

/** The engines that compile graphs, as far as they are there. */
export const compilingEngines = [
  'onnxruntime' as const,
  ...(hasXla ? (['xla'] as const) : []),
  ...(hasOpenvino ? (['openvino'] as const) : []),
];

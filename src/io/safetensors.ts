/** safetensors files, see https://github.com/huggingface/safetensors. */
export type { SafetensorsDtype, SafetensorsEntry } from './safetensors/header.ts';
export type { SafetensorsData, SafetensorsFile } from './safetensors/read.ts';
export { openSafetensors, readFloat32, readTensor } from './safetensors/read.ts';
export type { SafetensorsTensor } from './safetensors/write.ts';
export { writeSafetensors } from './safetensors/write.ts';

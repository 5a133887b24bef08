/** safetensors files and checkpoints made of them, see https://github.com/huggingface/safetensors. */
export { openCheckpoint } from './safetensors/checkpoint.ts';
export type { SafetensorsDtype, SafetensorsEntry } from './safetensors/header.ts';
export type { SafetensorsData, SafetensorsFile } from './safetensors/read.ts';
export { openSafetensors, readFloat32, readTensor } from './safetensors/read.ts';
export type { SafetensorsTensor } from './safetensors/write.ts';
export { writeSafetensors } from './safetensors/write.ts';

import type { Pjrt } from './pjrt.ts';
import { pointedFields, Struct } from './pjrt-layout.ts';

/** StableHLO text as the API takes programs. */
export function mlirProgram(pjrt: Pjrt, text: string): Struct<(typeof pointedFields.Program)[number]> {
  const [code, format] = [Buffer.from(text), Buffer.from('mlir')];
  return new Struct(pointedFields.Program)
    .set('code', pjrt.address(code), code)
    .set('codeSize', code.length)
    .set('format', pjrt.address(format), format)
    .set('formatSize', format.length);
}

/** Bytes of device memory that a compiled module takes. */
export interface CompiledMemory {
  /** What it is given, weights and state included. */
  readonly arguments: number;
  readonly outputs: number;
  /** Of the outputs, what is written over arguments. */
  readonly aliased: number;
  /** Intermediate values, at the size of the one block that they share. */
  readonly temporary: number;
}

/**
 * What the compiler says of the memory of an executable.
 * @param executable address of a `PJRT_Executable`
 * @throws EngineError `ENGINE_XLA` where the plugin does not tell
 */
export function compiledMemory(pjrt: Pjrt, executable: bigint): CompiledMemory {
  const stats = pjrt.call(
    pjrt.arguments('Executable_GetCompiledMemoryStats').set('executable', executable),
    'Executable_GetCompiledMemoryStats',
  );
  return {
    arguments: Number(stats.get('arguments')),
    outputs: Number(stats.get('outputs')),
    aliased: Number(stats.get('aliased')),
    temporary: Number(stats.get('temporary')),
  };
}

/**
 * Most bytes on the device at one time: what is given, what is new, and what lies between. A step that may yet be refused
 * does not write over its state, so that what could be is counted.
 */
export const bytesOnDevice = (memory: CompiledMemory): number =>
  memory.arguments + memory.outputs + memory.temporary;

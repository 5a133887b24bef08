import { EngineError } from '../../errors.ts';
import { compileOptions } from './compile-options.ts';
import type { Pjrt } from './pjrt.ts';
import { pointedFields, Struct } from './pjrt-layout.ts';
import { type CompiledMemory, compiledMemory, mlirProgram } from './program.ts';

/** `PJRT_NamedValue_kString` */
const stringValue = 0;
/** Of a `PJRT_NamedValue`: they stand one after the other, so there is no room behind them. */
const namedValueBytes = 56;

/** A C array of `PJRT_NamedValue` with texts, and what it points to. */
function namedTexts(
  pjrt: Pjrt,
  values: Readonly<Record<string, string>>,
): { bytes: Buffer; held: unknown[] } {
  const held: unknown[] = [];
  const address = (text: string): [bigint, bigint] => {
    const bytes = Buffer.from(text);
    held.push(bytes);
    return [pjrt.address(bytes), BigInt(bytes.length)];
  };
  const entries = Object.entries(values).map(([name, value]) => {
    const entry = Buffer.alloc(namedValueBytes);
    entry.writeBigUInt64LE(BigInt(namedValueBytes), 0);
    [...address(name), BigInt(stringValue), ...address(value)].forEach((field, i) => {
      entry.writeBigUInt64LE(field, 16 + 8 * i);
    });
    return entry;
  });
  return { bytes: Buffer.concat(entries), held };
}

/** What compiling for a device that is not here gives. */
export interface DevicelessExecutable {
  readonly memory: CompiledMemory;
  /** The module after all of the compiler's passes: a serialized `HloModuleProtoWithConfig` of XLA. */
  readonly optimizedModule: Buffer;
}

/**
 * Compiles StableHLO for a GPU that need not be there; nothing is loaded or run.
 *
 * @param pjrt a plugin for that kind of GPU
 * @param target text of a `GpuTargetConfigProto`
 * @throws EngineError `ENGINE_XLA` with the compiler's message
 */
export async function compileForTarget(
  pjrt: Pjrt,
  target: string,
  text: string,
): Promise<DevicelessExecutable> {
  const name = Buffer.from('target');
  const options = namedTexts(pjrt, { target_config: target, topology: '1x1x1' });
  const topology = pjrt
    .call(
      pjrt
        .arguments('TopologyDescription_Create')
        .set('name', pjrt.address(name), name)
        .set('nameSize', name.length)
        .set('options', pjrt.address(options.bytes), options)
        .set('numOptions', options.bytes.length / namedValueBytes),
      'TopologyDescription_Create',
    )
    .get('topology');
  try {
    const program = mlirProgram(pjrt, text);
    const settings = compileOptions({ replicas: 1, platform: 'none' });
    const given = pjrt
      .arguments('Compile')
      .set('topology', topology)
      .set('program', pjrt.address(program.bytes), program)
      .set('options', pjrt.address(settings), settings)
      .set('optionsSize', settings.length);
    const executable = (await pjrt.callAsync(given, 'Compile').catch(explainMissingTools)).get('executable');
    try {
      return {
        memory: compiledMemory(pjrt, executable),
        optimizedModule: optimizedModule(pjrt, executable),
      };
    } finally {
      pjrt.call(pjrt.arguments('Executable_Destroy').set('executable', executable), 'Executable_Destroy');
    }
  } finally {
    pjrt.call(
      pjrt.arguments('TopologyDescription_Destroy').set('topology', topology),
      'TopologyDescription_Destroy',
    );
  }
}

/** Says how to get the parts of CUDA's compiler that the plugin uses where they are missing. */
function explainMissingTools(error: unknown): never {
  const message = error instanceof Error ? error.message : '';
  if (!/libdevice|No PTX compilation provider|ptxas|nvjitlink/i.test(message)) throw error;
  throw new EngineError(
    'ENGINE_CUDA_TOOLS',
    `The plugin lacks the parts of CUDA's compiler that it needs, ptxas and libdevice: affectgpt engine install xla-cuda13 --force brings them. XLA says: ${message}`,
    { cause: error },
  );
}

/** Asked for twice: the first answer is the size. */
function optimizedModule(pjrt: Pjrt, executable: bigint): Buffer {
  const program = new Struct(pointedFields.Program);
  const given = pjrt
    .arguments('Executable_OptimizedProgram')
    .set('executable', executable)
    .set('program', pjrt.address(program.bytes), program);
  pjrt.call(given, 'Executable_OptimizedProgram');
  const bytes = Buffer.alloc(Number(program.get('codeSize')));
  program.set('code', pjrt.address(bytes), bytes);
  pjrt.call(given, 'Executable_OptimizedProgram');
  return bytes;
}

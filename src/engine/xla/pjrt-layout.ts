/**
 * The parts of XLA's C API (`pjrt_c_api.h`) that are called, as its header of version 0.81 lays them out. The API is
 * append-only below major version 1: fields keep their places, new ones come at the end.
 */

/** Entries of `PJRT_Api` in order, up to the last one that is called. */
const entries = [
  'Error_Destroy',
  'Error_Message',
  'Error_GetCode',
  'Plugin_Initialize',
  'Plugin_Attributes',
  'Event_Destroy',
  'Event_IsReady',
  'Event_Error',
  'Event_Await',
  'Event_OnReady',
  'Client_Create',
  'Client_Destroy',
  'Client_PlatformName',
  'Client_ProcessIndex',
  'Client_PlatformVersion',
  'Client_Devices',
  'Client_AddressableDevices',
  'Client_LookupDevice',
  'Client_LookupAddressableDevice',
  'Client_AddressableMemories',
  'Client_Compile',
  'Client_DefaultDeviceAssignment',
  'Client_BufferFromHostBuffer',
  'DeviceDescription_Id',
  'DeviceDescription_ProcessIndex',
  'DeviceDescription_Attributes',
  'DeviceDescription_Kind',
  'DeviceDescription_DebugString',
  'DeviceDescription_ToString',
  'Device_GetDescription',
  'Device_IsAddressable',
  'Device_LocalHardwareId',
  'Device_AddressableMemories',
  'Device_DefaultMemory',
  'Device_MemoryStats',
  'Memory_Id',
  'Memory_Kind',
  'Memory_DebugString',
  'Memory_ToString',
  'Memory_AddressableByDevices',
  'Executable_Destroy',
  'Executable_Name',
  'Executable_NumReplicas',
  'Executable_NumPartitions',
  'Executable_NumOutputs',
  'Executable_SizeOfGeneratedCodeInBytes',
  'Executable_GetCostAnalysis',
  'Executable_OutputMemoryKinds',
  'Executable_OptimizedProgram',
  'Executable_Serialize',
  'LoadedExecutable_Destroy',
  'LoadedExecutable_GetExecutable',
  'LoadedExecutable_AddressableDevices',
  'LoadedExecutable_Delete',
  'LoadedExecutable_IsDeleted',
  'LoadedExecutable_Execute',
  'Executable_DeserializeAndLoad',
  'LoadedExecutable_Fingerprint',
  'Buffer_Destroy',
  'Buffer_ElementType',
  'Buffer_Dimensions',
  'Buffer_UnpaddedDimensions',
  'Buffer_DynamicDimensionIndices',
  'Buffer_GetMemoryLayout',
  'Buffer_OnDeviceSizeInBytes',
  'Buffer_Device',
  'Buffer_Memory',
  'Buffer_Delete',
  'Buffer_IsDeleted',
  'Buffer_CopyToDevice',
  'Buffer_ToHostBuffer',
  'Buffer_IsOnCpu',
  'Buffer_ReadyEvent',
  'Buffer_UnsafePointer',
  'Buffer_IncreaseExternalReferenceCount',
  'Buffer_DecreaseExternalReferenceCount',
  'Buffer_OpaqueDeviceMemoryDataPointer',
  'CopyToDeviceStream_Destroy',
  'CopyToDeviceStream_AddChunk',
  'CopyToDeviceStream_TotalBytes',
  'CopyToDeviceStream_GranuleSize',
  'CopyToDeviceStream_CurrentBytes',
  'TopologyDescription_Create',
  'TopologyDescription_Destroy',
  'TopologyDescription_PlatformName',
  'TopologyDescription_PlatformVersion',
  'TopologyDescription_GetDeviceDescriptions',
  'TopologyDescription_Serialize',
  'TopologyDescription_Attributes',
  'Compile',
  'Executable_OutputElementTypes',
  'Executable_OutputDimensions',
  'Buffer_CopyToMemory',
  'Client_CreateViewOfDeviceBuffer',
  'Executable_Fingerprint',
  'Client_TopologyDescription',
  'Executable_GetCompiledMemoryStats',
] as const;

/** Of the header before the entries: struct_size, extension_start, and the version with its own two. */
export const headerBytes = 40;
export const versionOffset = { major: 32, minor: 36 } as const;
export const apiBytes = headerBytes + 8 * entries.length;

export const entryOffset = (name: CallName): number => headerBytes + 8 * entries.indexOf(name);

/**
 * Fields of the argument structs behind `struct_size` and `extension_start`. Each takes 8 bytes: sizes, 64-bit
 * integers, pointers, and single ints with their padding.
 */
export const argumentFields = {
  Error_Destroy: ['error'],
  Error_Message: ['error', 'message', 'messageSize'],
  Plugin_Initialize: [],
  Event_Destroy: ['event'],
  Event_Await: ['event'],
  Client_Create: [
    'options',
    'numOptions',
    'getCallback',
    'getArgument',
    'putCallback',
    'putArgument',
    'client',
    'tryGetCallback',
    'tryGetArgument',
  ],
  Client_Destroy: ['client'],
  Client_PlatformName: ['client', 'name', 'nameSize'],
  Client_PlatformVersion: ['client', 'version', 'versionSize'],
  DeviceDescription_ToString: ['description', 'text', 'textSize'],
  Device_GetDescription: ['device', 'description'],
  Client_AddressableDevices: ['client', 'devices', 'numDevices'],
  Client_Compile: ['client', 'program', 'options', 'optionsSize', 'executable'],
  Client_BufferFromHostBuffer: [
    'client',
    'data',
    'type',
    'dims',
    'numDims',
    'byteStrides',
    'numByteStrides',
    'semantics',
    'device',
    'memory',
    'layout',
    'done',
    'buffer',
  ],
  Compile: ['topology', 'program', 'options', 'optionsSize', 'client', 'executable'],
  Device_MemoryStats: [
    'device',
    'bytesInUse',
    'peakBytesInUse',
    'hasPeakBytesInUse',
    'numAllocs',
    'hasNumAllocs',
    'largestAllocSize',
    'hasLargestAllocSize',
    'bytesLimit',
    'hasBytesLimit',
    'bytesReserved',
    'hasBytesReserved',
    'peakBytesReserved',
    'hasPeakBytesReserved',
    'bytesReservableLimit',
    'hasBytesReservableLimit',
    'largestFreeBlockBytes',
    'hasLargestFreeBlockBytes',
    'poolBytes',
    'hasPoolBytes',
    'peakPoolBytes',
    'hasPeakPoolBytes',
  ],
  Executable_Destroy: ['executable'],
  Executable_GetCompiledMemoryStats: [
    'executable',
    'generatedCode',
    'arguments',
    'outputs',
    'aliased',
    'temporary',
    'hostGeneratedCode',
    'hostArguments',
    'hostOutputs',
    'hostAliased',
    'hostTemporary',
    'peak',
  ],
  Executable_OptimizedProgram: ['executable', 'program'],
  Executable_Serialize: ['executable', 'bytes', 'bytesSize', 'serialized', 'deleter'],
  Executable_DeserializeAndLoad: [
    'client',
    'bytes',
    'bytesSize',
    'executable',
    'overriddenOptions',
    'overriddenOptionsSize',
  ],
  LoadedExecutable_Destroy: ['executable'],
  LoadedExecutable_GetExecutable: ['loaded', 'executable'],
  LoadedExecutable_Execute: [
    'executable',
    'options',
    'argumentLists',
    'numDevices',
    'numArguments',
    'outputLists',
    'completeEvents',
    'device',
  ],
  TopologyDescription_Create: ['name', 'nameSize', 'options', 'numOptions', 'topology'],
  TopologyDescription_Destroy: ['topology'],
  Buffer_Destroy: ['buffer'],
  Buffer_ToHostBuffer: ['source', 'layout', 'destination', 'size', 'event'],
} as const satisfies Partial<Record<(typeof entries)[number], readonly string[]>>;

export type CallName = keyof typeof argumentFields;

/** Structs that arguments point to. */
export const pointedFields = {
  Program: ['code', 'codeSize', 'format', 'formatSize'],
  /** `type` is one of `namedValueType`; `size` counts bytes of a string, and is 1 for a number. */
  NamedValue: ['name', 'nameSize', 'type', 'value', 'size'],
  ExecuteOptions: [
    'sendCallbacks',
    'receiveCallbacks',
    'numSend',
    'numReceive',
    'launchId',
    'nonDonatable',
    'numNonDonatable',
    'context',
    'callLocation',
    'numTasks',
    'taskIds',
    'incarnationIds',
  ],
} as const;

/** `PJRT_Buffer_Type` */
export const bufferType = { i1: 1, i32: 4, f16: 10, f32: 11, bf16: 13 } as const;

/**
 * Room behind the known fields. Later plugins know more fields and refuse structs that are too short for them; zero
 * means the default in each.
 */
const roomForLaterFields = 64;

/** A struct of the API in memory, with what its pointers point to, which it keeps alive. */
export class Struct<Field extends string> {
  readonly bytes: Buffer;
  readonly #fields: readonly Field[];
  readonly #held: unknown[] = [];

  constructor(fields: readonly Field[]) {
    this.#fields = fields;
    this.bytes = Buffer.alloc(16 + 8 * fields.length + roomForLaterFields);
    this.bytes.writeBigUInt64LE(BigInt(this.bytes.length), 0);
  }

  #offset(field: Field): number {
    return 16 + 8 * this.#fields.indexOf(field);
  }

  /** @param held what lies at the address `value` and has to live as long as this struct */
  set(field: Field, value: bigint | number, held?: unknown): this {
    this.bytes.writeBigUInt64LE(BigInt(value), this.#offset(field));
    if (held !== undefined) this.#held.push(held);
    return this;
  }

  get(field: Field): bigint {
    return this.bytes.readBigUInt64LE(this.#offset(field));
  }
}

import { EngineError } from '../../errors.ts';
import type { Pjrt } from './pjrt.ts';
import { pointedFields, Struct } from './pjrt-layout.ts';

/** `PJRT_NamedValue_kInt64` */
const integerValue = 1;

/** A client of a plugin, by address, and the devices that it may use. */
export interface CreatedClient {
  readonly client: bigint;
  /** e.g. `cpu` */
  readonly platform: string;
  readonly devices: readonly bigint[];
}

/** @param cpuDevices devices into which the plugin for processors divides the machine; absent leaves it to the plugin */
function createClient(pjrt: Pjrt, cpuDevices?: number): CreatedClient {
  const given = pjrt.arguments('Client_Create');
  if (cpuDevices !== undefined) {
    const name = Buffer.from('cpu_device_count');
    const option = new Struct(pointedFields.NamedValue)
      .set('name', pjrt.address(name), name)
      .set('nameSize', name.length)
      .set('type', integerValue)
      .set('value', cpuDevices)
      .set('size', 1);
    given.set('options', pjrt.address(option.bytes), option).set('numOptions', 1);
  }
  const client = pjrt.call(given, 'Client_Create').get('client');
  const name = pjrt.call(pjrt.arguments('Client_PlatformName').set('client', client), 'Client_PlatformName');
  const found = pjrt.call(
    pjrt.arguments('Client_AddressableDevices').set('client', client),
    'Client_AddressableDevices',
  );
  const count = Number(found.get('numDevices'));
  const addresses = pjrt.copy(found.get('devices'), 8 * count);
  return {
    client,
    platform: pjrt.copy(name.get('name'), name.get('nameSize')).toString(),
    devices: Array.from({ length: count }, (_, i) => addresses.readBigUInt64LE(8 * i)),
  };
}

/** A device as the plugin describes it, such as `CudaDevice(id=0)`. */
function describe(pjrt: Pjrt, device: bigint): string {
  const description = pjrt
    .call(pjrt.arguments('Device_GetDescription').set('device', device), 'Device_GetDescription')
    .get('description');
  const text = pjrt.call(
    pjrt.arguments('DeviceDescription_ToString').set('description', description),
    'DeviceDescription_ToString',
  );
  return pjrt.copy(text.get('text'), text.get('textSize')).toString();
}

/**
 * A client with at least so many devices. A processor is divided into as many as are asked for; GPUs are there or not.
 * @throws EngineError `ENGINE_DEVICES` where there are fewer
 */
export function createClientOf(pjrt: Pjrt, wanted: number): CreatedClient {
  const found = createClient(pjrt);
  if (found.devices.length >= wanted) return found;
  if (found.platform !== 'cpu') {
    const names = found.devices.map((device) => describe(pjrt, device));
    throw new EngineError(
      'ENGINE_DEVICES',
      `engine.devices is ${wanted}, but ${found.platform} has ${found.devices.length} here: ${names.join(', ') || 'none'}. Set engine.devices to at most ${Math.max(1, found.devices.length)}, or make more devices visible (CUDA_VISIBLE_DEVICES).`,
    );
  }
  pjrt.call(pjrt.arguments('Client_Destroy').set('client', found.client), 'Client_Destroy');
  return createClient(pjrt, wanted);
}

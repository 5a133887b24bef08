import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { allReduceSum } from '../../src/engine/all-reduce.ts';
import { optimize } from '../../src/engine/ir/passes/optimize.ts';
import { traceSymbolic } from '../../src/engine/ir/symbolic.ts';
import { emitStablehlo } from '../../src/engine/stablehlo/module.ts';
import type { CompileOptions, HostTensor, TensorFunction } from '../../src/engine/types.ts';
import { createClientOf } from '../../src/engine/xla/devices.ts';
import { XlaEngine } from '../../src/engine/xla/engine.ts';
import type { Pjrt } from '../../src/engine/xla/pjrt.ts';
import { argumentFields, type CallName, Struct } from '../../src/engine/xla/pjrt-layout.ts';
import { hasXla } from '../support/xla.ts';

const float = (...values: number[]): HostTensor => ({
  dtype: 'float32',
  shape: [values.length],
  data: Float32Array.from(values),
});

/** Adds its input to its own sum, and gives the sum of all sums. */
const addUp: TensorFunction = ({ inputs, state, weights }) => {
  const sum = tf.add(state.sum!, tf.mul(inputs.x!, weights.factor!));
  return { outputs: { own: sum, all: allReduceSum(sum) }, state: { sum } };
};
const addUpOptions: CompileOptions = {
  name: 'add up',
  inputs: { x: { dtype: 'float32', shape: ['n'] } },
  state: { sum: { dtype: 'float32', shape: ['n'] } },
  weights: { factor: float(2) },
  replicated: true,
};

describe('a replicated function as StableHLO', () => {
  const emit = (replicas: number) =>
    emitStablehlo(
      optimize(
        traceSymbolic(({ inputs }) => ({ outputs: { y: allReduceSum(inputs.x!) } }), {
          name: 'sum',
          inputs: { x: { dtype: 'float32', shape: ['n'] } },
        }),
      ),
      { n: 3 },
      {},
      { replicas },
    ).text;

  it('says how many devices run it, and reduces over all of them', () => {
    expect(
      emit(4),
    ).toBe(`module @sum attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 4 : i32} {
  func.func public @main(%arg0: tensor<3xf32>) -> (tensor<3xf32>) {
    %0 = "stablehlo.all_reduce"(%arg0) <{replica_groups = dense<[[0, 1, 2, 3]]> : tensor<1x4xi64>}> ({ ^bb0(%a: tensor<f32>, %b: tensor<f32>): %sum = stablehlo.add %a, %b : tensor<f32> "stablehlo.return"(%sum) : (tensor<f32>) -> () }) : (tensor<3xf32>) -> tensor<3xf32>
    return %0 : tensor<3xf32>
  }
}
`);
  });

  it('has nothing to reduce on one device', () => {
    expect(emit(1)).not.toMatch(/all_reduce|replicas/);
  });
});

/** A plugin for GPUs whose client has these. */
function gpuPlugin(...names: string[]): Pjrt {
  const texts: Record<string, Buffer> = { platform: Buffer.from('cuda') };
  names.forEach((name, i) => {
    texts[`device ${i + 1}`] = Buffer.from(name);
  });
  const keys = Object.keys(texts);
  const text = (key: string) => ({ at: keys.indexOf(key) + 1, length: texts[key]!.length });
  const answers: Record<string, (given: Struct<string>) => unknown> = {
    Client_Create: (given) => given.set('client', 7),
    Client_PlatformName: (given) => {
      const { at, length } = text('platform');
      given.set('name', at).set('nameSize', length);
    },
    Client_AddressableDevices: (given) => given.set('devices', 100).set('numDevices', names.length),
    Device_GetDescription: (given) => given.set('description', given.get('device')),
    DeviceDescription_ToString: (given) => {
      const { at, length } = text(`device ${given.get('description')}`);
      given.set('text', at).set('textSize', length);
    },
  };
  const plugin = {
    arguments: (name: CallName) => new Struct<string>(argumentFields[name]),
    call: (given: Struct<string>, name: string) => {
      answers[name]!(given);
      return given;
    },
    copy: (address: bigint) =>
      address === 100n
        ? Buffer.from(BigInt64Array.from(names, (_, i) => BigInt(i + 1)).buffer)
        : texts[keys[Number(address) - 1]!]!,
  };
  return plugin as unknown as Pjrt;
}

describe('devices of a plugin for GPUs', () => {
  it('are taken as they are, or missed by name', () => {
    const plugin = gpuPlugin('CudaDevice(id=0)', 'CudaDevice(id=1)');
    expect(createClientOf(plugin, 2)).toEqual({ client: 7n, platform: 'cuda', devices: [1n, 2n] });
    expect(() => createClientOf(plugin, 8)).toThrow(
      'engine.devices is 8, but cuda has 2 here: CudaDevice(id=0), CudaDevice(id=1). Set engine.devices to at most 2',
    );
  });
});

describe.skipIf(!hasXla)('several devices', () => {
  it.each([2, 4, 6])('(%i) have state of their own, and sums over all in the graph', async (devices) => {
    const engine = new XlaEngine({ threads: 1, devices });
    const before = engine.client.live;
    const compiled = await engine.compile(addUp, addUpOptions);
    const state = engine.createState({ sum: float(1, 0) }, { replicated: true });
    const inputs = Array.from({ length: devices }, (_, device) => ({ x: float(device, 10) }));
    for (let run = 1; run <= 3; run++) {
      const outputs = await compiled.runAll!(inputs, state);
      const total = inputs.reduce((sum, _, device) => sum + 1 + run * 2 * device, 0);
      expect(outputs.map(({ own }) => [...own!.data])).toEqual(
        inputs.map((_, device) => [1 + run * 2 * device, run * 20]),
      );
      for (const { all } of outputs) expect([...all!.data]).toEqual([total, devices * run * 20]);
      expect(engine.client.live).toBe(before + 2 * devices);
    }
    // What is given once is given to all, and the first one answers.
    const { own } = await compiled.run({ x: float(1, 1) }, state, () => false);
    expect([...own!.data]).toEqual([3, 62]);
    expect([...(await state.read()).sum!.data]).toEqual([1, 60]);
    await expect(state.checkReplicas!(['sum'])).rejects.toThrow(
      new RegExp(`The ${devices} devices should hold the same values, and do not in 1 of 1 tensors: sum`),
    );
    await state.write({ sum: float(5, 5) });
    await state.checkReplicas!(['sum']);
    const again = await compiled.runAll!(inputs, state);
    expect(again.map(({ own: sum }) => [...sum!.data])).toEqual(
      inputs.map((_, device) => [5 + 2 * device, 25]),
    );
    expect(engine.client.live).toBe(before + 2 * devices);
    state.dispose();
    await expect(state.read()).rejects.toThrow();
    await compiled.dispose();
    expect(engine.client.live).toBe(before);
  });

  it('share nothing with functions of one device but what these only read', async () => {
    const engine = new XlaEngine({ threads: 1, devices: 2 });
    const replicated = engine.createState({ sum: float(1, 2) }, { replicated: true });
    const alone = engine.createState({ sum: float(1, 2) });
    const reading = await engine.compile(({ state }) => ({ outputs: { twice: tf.mul(state.sum!, 2) } }), {
      name: 'read',
      inputs: {},
      state: addUpOptions.state!,
    });
    expect([...(await reading.run({}, replicated)).twice!.data]).toEqual([2, 4]);
    const changing = await engine.compile(addUp, { ...addUpOptions, replicated: false });
    const x = float(1, 1);
    // The function runs on one device, where there is nothing to reduce.
    expect([...(await changing.run({ x }, alone)).all!.data]).toEqual([3, 4]);
    await expect(changing.run({ x }, replicated)).rejects.toThrow(
      '"add up" runs on one device, and its state is held by 2 devices',
    );
    const all = await engine.compile(addUp, addUpOptions);
    await expect(all.runAll!([{ x }, { x }], alone)).rejects.toThrow(
      '"add up" runs on 2 devices, and its state is held by one device',
    );
    await expect(all.runAll!([{ x }], replicated)).rejects.toThrow(/each of its devices \(2\); 1 were given/);
    await expect(all.runAll!([{ x }, { x: float(1) }], replicated)).rejects.toThrow(/of one size/);
    for (const compiled of [reading, changing, all]) await compiled.dispose();
  });

  it('refuse inputs of different sizes', async () => {
    const engine = new XlaEngine({ threads: 1, devices: 2 });
    const compiled = await engine.compile(({ inputs }) => ({ outputs: { y: tf.neg(inputs.x!) } }), {
      name: 'negate',
      inputs: { x: { dtype: 'float32', shape: ['n'] } },
      replicated: true,
    });
    await expect(compiled.runAll!([{ x: float(1) }, { x: float(1, 2) }])).rejects.toThrow(
      /of one size .*those of device 1 have the sizes {"n":2}, those of device 0 {"n":1}/,
    );
    const outputs = await compiled.runAll!([{ x: float(1) }, { x: float(2) }]);
    expect(outputs.map(({ y }) => y!.data[0])).toEqual([-1, -2]);
    await compiled.dispose();
  });

  it('run what is taken from disk', async () => {
    const executables = await mkdtemp(path.join(tmpdir(), 'xla-replicas-'));
    for (const _ of [1, 2]) {
      const engine = new XlaEngine({ threads: 1, devices: 2, executables });
      const compiled = await engine.compile(addUp, addUpOptions);
      const state = engine.createState({ sum: float(0) }, { replicated: true });
      const outputs = await compiled.runAll!([{ x: float(1) }, { x: float(2) }], state);
      expect(outputs.map(({ all }) => all!.data[0])).toEqual([6, 6]);
      expect(await readdir(executables)).toHaveLength(1);
      state.dispose();
      await compiled.dispose();
    }
    await rm(executables, { recursive: true });
  });
});

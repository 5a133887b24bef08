import { locateOpenvino, openvinoVariable } from '../../src/engine/openvino/library.ts';
import { loadKoffiForOpenvino } from '../../src/engine/openvino/runtime.ts';

function missing(): string | undefined {
  try {
    loadKoffiForOpenvino();
  } catch (error) {
    return (error as Error).message;
  }
  return locateOpenvino() === undefined
    ? `no library: affectgpt engine install openvino, or ${openvinoVariable}=LIBRARY`
    : undefined;
}

const reason = missing();

/** Whether the engine openvino can run here; where it cannot, the tests that need it say why and are skipped. */
export const hasOpenvino = reason === undefined;
if (reason !== undefined) process.stderr.write(`openvino is not tested: ${reason}\n`);

import { MessageChannel } from 'node:worker_threads';

/** A port whose messages reach nobody. */
function closedPort() {
  const { port1, port2 } = new MessageChannel();
  port1.close();
  port2.close();
  return port1;
}

let nowhere: ReturnType<typeof closedPort> | undefined;

/**
 * Gives the memory of buffers back at once, not when they are next collected as garbage; they have no bytes afterwards.
 * `ArrayBuffer.prototype.transfer` would do the same from Node 22 on; here they are sent to a closed port.
 *
 * @param buffers of which nobody needs the content any more, each once
 */
export function freeBuffers(buffers: readonly ArrayBuffer[]): void {
  nowhere ??= closedPort();
  nowhere.postMessage(null, buffers);
}

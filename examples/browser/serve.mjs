// Serves this folder, an exported model and the two packages: node serve.mjs EXPORTED [port]
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const [exported, port = '8080'] = process.argv.slice(2);
/** Folders by the address that they appear under, the longest first. */
const folders = [
  ['/packages/@huggingface/tokenizers/', dirname(require.resolve('@huggingface/tokenizers'))],
  ['/packages/onnxruntime-web/', dirname(require.resolve('onnxruntime-web'))],
  ['/model/', resolve(exported)],
  ['/', dirname(fileURLToPath(import.meta.url))],
];
const types = {
  '.html': 'text/html',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};
/** With these the page may use threads, which make large models faster; without them it runs on one. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

async function serve(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const path = decodeURIComponent(pathname === '/' ? '/index.html' : pathname);
  const [address, folder] = folders.find(([prefix]) => path.startsWith(prefix));
  const file = resolve(folder, path.slice(address.length));
  if (!file.startsWith(folder + sep)) throw new Error(`${path} leads out of the folder.`);
  const { size } = await stat(file);
  const type = types[extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': size, ...isolation });
  await pipeline(createReadStream(file), response);
}

const server = createServer((request, response) => {
  serve(request, response).catch(({ message }) => {
    if (response.headersSent) response.destroy();
    else response.writeHead(404, { 'Content-Type': 'text/plain' }).end(`${message}\n`);
  });
});
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));

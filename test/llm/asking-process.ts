/** Asks ten questions one after another: `asking-process.ts <base URL> <cache folder>`. */
import { createChatClient } from '../../src/llm/client.ts';

const [baseUrl, cacheFolder] = process.argv.slice(2);
const client = createChatClient({ baseUrl: baseUrl!, model: 'qwen', cacheFolder: cacheFolder! });
for (let i = 0; i < 10; i++) await client.complete([{ role: 'user', content: `${i}` }]);

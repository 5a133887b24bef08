import { execaSync } from 'execa';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { collatePrompts } from '../../src/data/collate.ts';
import { createEngine } from '../../src/engine/engines.ts';
import { openAffectGpt } from '../../src/runtime/affectgpt.ts';
import { Generator } from '../../src/runtime/generator.ts';
import { pythonWith } from '../support/python.ts';
import { smollm2Folder } from '../support/smollm2.ts';

const newTokens = 40;
const chat = (text: string) => `<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`;
const prompts = [
  'Once upon a time, there was a little girl who',
  chat('What is the capital of France?'),
  chat('Write two sentences about the sea.'),
  chat('How does someone feel who has just lost a friend?'),
];

const reference = `
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, count, prompts = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
answers = []
for prompt in prompts:
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
    answers.append({"prompt": ids[0].tolist(), "tokens": out[0, ids.shape[1]:].tolist()})
print(json.dumps(answers))
`;

const model = smollm2Folder();
const interpreter = pythonWith('torch', 'transformers');
const missing = [model, interpreter].flatMap((one) => ('missing' in one ? [one.missing] : []));
if (missing.length > 0) console.warn(`Skipped, the tokens of SmolLM2: ${missing.join('; ')}.`);

describe.skipIf(missing.length > 0)('SmolLM2-135M-Instruct', () => {
  it('answers with the tokens that transformers gives, a whole batch at once', async () => {
    const { folder } = model as { folder: string };
    const { python } = interpreter as { python: string };
    const argv = ['-c', reference, folder, String(newTokens), JSON.stringify(prompts)];
    const { stdout } = execaSync(python, argv);
    const expected = JSON.parse(stdout) as { prompt: number[]; tokens: number[] }[];

    const config = parseConfig({
      model: { llm: folder, inputs: 'textonly' },
      data: { manifest: 'none.jsonl' },
      train: { parts: { decoder: 'full' } },
      output: 'none',
    });
    const engine = await createEngine(config.engine);
    const opened = await openAffectGpt(config);
    const { tokenizer } = opened;
    const ids = prompts.map((prompt) => tokenizer.encode(prompt));
    expect(ids).toEqual(expected.map(({ prompt }) => prompt));
    // No tensor is trained: all weights come from the files.
    const generator = new Generator(engine, { ...opened, trainable: {} });
    const answers = await generator.answer(
      engine.createState({}),
      collatePrompts(ids, {}, { model: opened.config, tokenizer }),
      {
        maxNewTokens: newTokens,
        stop: [[tokenizer.eosId]],
        sampling: { method: 'greedy' },
        padToken: tokenizer.padId,
      },
    );
    await generator.dispose();
    for (const [i, { tokens }] of answers.entries()) {
      console.info(`${prompts[i]} → ${tokenizer.decode(tokens)}`);
      expect(tokens).toEqual(expected[i]!.tokens);
    }
    expect(answers[0]!.tokens).toHaveLength(newTokens);
    expect(opened.decoder.config).toMatchObject({ modelType: 'llama', tieWordEmbeddings: true });
  });
});

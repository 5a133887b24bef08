import { execaSync } from 'execa';
import { describe, expect, it } from 'vitest';
import { createEngine } from '../../src/engine/engines.ts';
import { extractionPrompt } from '../../src/eval/mer-unibench/published-prompts.ts';
import { InstructModel } from '../../src/runtime/instruct-model.ts';
import { pythonWith } from '../support/python.ts';
import { smollm2Folder } from '../support/smollm2.ts';

const maxTokens = 24;
const penalties = [1.05, 1.3];
const messages = [
  'What is the capital of France?',
  extractionPrompt("The character's emotional state is happy, sad and angry."),
];

const reference = `
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, count, penalties, messages = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
answers = []
for penalty in penalties:
    for message in messages:
        turns = [{"role": "user", "content": message}]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        out = model.generate(**ids, max_new_tokens=count, do_sample=False, repetition_penalty=penalty)
        answers.append(tokenizer.decode(out[0, ids["input_ids"].shape[1]:], skip_special_tokens=True))
print(json.dumps(answers))
`;

const model = smollm2Folder();
const interpreter = pythonWith('torch', 'transformers');
const missing = [model, interpreter].flatMap((one) => ('missing' in one ? [one.missing] : []));
if (missing.length > 0) console.warn(`Skipped, answers of SmolLM2 in its chat: ${missing.join('; ')}.`);

describe.skipIf(missing.length > 0)('SmolLM2-135M-Instruct, asked through its chat template', () => {
  it('says what transformers says under each repetition penalty', async () => {
    const { folder } = model as { folder: string };
    const { python } = interpreter as { python: string };
    const argv = ['-c', reference, folder, String(maxTokens)];
    const { stdout } = execaSync(python, [...argv, JSON.stringify(penalties), JSON.stringify(messages)]);
    const opened = await InstructModel.open(folder, 'the model', await createEngine({ type: 'auto' }));
    const prompts = messages.map((content) => opened.encode([{ role: 'user', content }]));
    const said: string[] = [];
    for (const repetitionPenalty of penalties) {
      const settings = { temperature: 0, topP: 1, seed: 0, repetitionPenalty, maxTokens };
      said.push(...(await opened.answer(prompts, settings)).map(({ text }) => text));
    }
    await opened.dispose();
    expect(said).toEqual(JSON.parse(stdout));
    expect(new Set(said).size).toBeGreaterThan(messages.length);
  });
});

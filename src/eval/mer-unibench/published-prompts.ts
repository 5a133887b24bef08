/** What the published evaluation asks Qwen2.5-7B-Instruct, and how: one user message, sampled. */
export const publishedSampling = {
  temperature: 0.7,
  topP: 0.8,
  repetitionPenalty: 1.05,
  maxTokens: 512,
} as const;

/** How the published set-level evaluation of 2024 asks for groups; there of gpt-3.5-turbo-16k-0613. */
export const groupingSampling = { temperature: 0, maxTokens: 1000 } as const;

/** Asks for the emotion words of an answer. */
export function extractionPrompt(answer: string): string {
  return [
    'Please assume the role of an expert in the field of emotions.',
    'We provide clues that may be related to the emotions of the characters.',
    'Based on the provided clues, please identify the emotional states of the main character.',
    'The main character is the one with the most detailed clues.',
    'Please separate different emotional categories with commas and output only the clearly identifiable emotional categories in a list format.',
    'If none are identified, please output an empty list.',
    'Input: We cannot recognize his emotional state; Output: []',
    'Input: His emotional state is happy, sad, and angry; Output: [happy, sad, angry]',
    `Input: ${answer}; Output: `,
  ].join(' ');
}

/** Asks for the sentiment of a list of words as the extractor wrote it, brackets included. */
export function sentimentPrompt(openset: string): string {
  return [
    'Please act as an expert in the field of emotions.',
    'We provide a few words to describe the emotions of a character.',
    'Please choose the most likely sentiment from the given candidates: [positive, negative, neutral]',
    'Please direct output answer without analyzing process.',
    'Input: [joyful]; Output: positive',
    'Input: []; Output: neutral',
    `Input: ${openset}; Output: `,
    // The published text runs on over indented lines: thirteen spaces between its sentences.
  ].join(' '.repeat(13));
}

/** Asks for groups of the same meaning, for the set-level metric of 2024 (`groupingSampling`). */
export function groupingPrompt(words: readonly string[]): string {
  return [
    'Please assume the role of an expert in the field of emotions.',
    'We provide a set of emotions.',
    'Please group the emotions, with each group containing emotions with the same meaning.',
    'Directly output the results.',
    'The output format should be a list containing multiple lists.',
    "Input: ['Agree', 'agreement', 'Relaxed', 'acceptance', 'pleasant', 'relaxed', 'Accept', 'positive', 'Happy']",
    "Output: [['Agree', 'agreement', 'Accept', 'acceptance'], ['Relaxed', 'relaxed'],['pleasant', 'positive', 'Happy']]",
    `Input: [${words.map(quoteAsPython).join(', ')}] Output:`,
  ].join(' ');
}

/** A string as Python prints it in a list. */
function quoteAsPython(word: string): string {
  const quote = word.includes("'") && !word.includes('"') ? '"' : "'";
  const escaped = word.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`);
  return quote + escaped + quote;
}

/** Words that models put in front of a reply, in the order in which they are taken off, each once. */
const prefixes = ['输入', '输出', '翻译', '让我们来翻译一下：', 'output', 'Output', 'input', 'Input'];

/** What the published evaluation takes off a reply before it reads it. */
export function cleanReply(reply: string): string {
  let text = reply.trim();
  for (const prefix of prefixes) if (text.startsWith(prefix)) text = text.slice(prefix.length);
  text = text.trim();
  for (const colon of [':', '：']) if (text.startsWith(colon)) text = text.slice(colon.length);
  return text.trim().replaceAll('\n', '').trim();
}

/** The groups of a cleaned reply to `groupingPrompt`: whatever stands in quotes between two brackets is one group. */
export function parseGroups(reply: string): string[][] {
  const filled = (piece: string) => !['', ','].includes(piece.trim());
  return reply
    .split(/[[\]]/)
    .filter(filled)
    .map((group) => group.split(/['"]/).filter(filled));
}

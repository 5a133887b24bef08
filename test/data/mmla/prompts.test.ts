import { describe, expect, it } from 'vitest';
import type { MmlaPromptPreset, StoredPromptKind } from '../../../src/data/mmla/prompts.ts';
import {
  mmlaAnswer,
  mmlaPrompt,
  mmlaPromptLayouts,
  mmlaPromptPresets,
  storedAnswer,
  storedPrompt,
} from '../../../src/data/mmla/prompts.ts';
import { parseStoredPrompt, promptFault } from '../../../src/data/mmla/stored-prompts.ts';
import type { MmlaTaskKey } from '../../../src/data/mmla/tasks.ts';
import { mmlaSplits, mmlaTask, mmlaTasks } from '../../../src/data/mmla/tasks.ts';

const acts =
  '[greeting, question, answer, statement-opinion, statement-non-opinion, apology, command, agreement, disagreement, acknowledge, backchannel, others]';
const intents =
  '[Complain, Praise, Apologise, Thank, Criticize, Agree, Taunt, Flaunt, Joke, Oppose, Comfort, Care, Inform, Advise, Arrange, Introduce, Leave, Prevent, Greet, Ask for help]';

describe('prompts as the released files store them, written by hand', () => {
  it.each<[MmlaTaskKey, StoredPromptKind, string, string, string, string]>([
    [
      'MELD-DA',
      { layout: 'llamafactory', split: 'train' },
      'Really?',
      `<video>You are presented with a video in which the speaker says: Really? Based on the text, video, and audio content, what is the dialogue act of this speaker?\nThe candidate labels for dialogue act are: ${acts}. Respond in the format: 'dialogue act: [label]'. Only one label should be provided.`,
      'statement-opinion',
      'dialogue act: statement-opinion',
    ],
    [
      'MUStARD',
      { layout: 'videollama2', split: 'train' },
      'Oh, great.',
      `<video>\nYou are presented with a video in which the speaker says: Oh, great. Based on the text, video, and audio content, what is the speaking style of this speaker?\nThe candidate labels for speaking style are: [sincere, sarcastic]. Respond in the format: 'speaking style: [label]'. Only one label should be provided.`,
      'sarcastic',
      'speaking style: sarcastic',
    ],
    [
      'AnnoMi-therapist',
      { layout: 'llava', split: 'dev' },
      'Mm-hmm',
      `<image>\nYou are presented with a video in which the speaker says: Mm-hmm Based on the text, video, and audio content, what is the communication_behavior of this speaker?\nThe candidate labels for communication_behavior are: [question, therapist_input, reflection, other]. Respond in the format: 'communication_behavior: [label]'. Only one label should be provided.`,
      'other',
      'communication_behavior: other',
    ],
    [
      'UR-FUNNY',
      { layout: 'swift', split: 'test' },
      'so there',
      `You are presented with a video in which the speaker says: so there Based on the text, video, and audio content, what is the speaking_style of this speaker?\nThe candidate labels for speaking_style are: [humorous, serious]. Respond in the format: 'speaking_style: [label]'. Only one label should be provided.`,
      'humorous',
      'speaking_style: humorous',
    ],
    [
      'AnnoMi-client',
      { layout: 'swift', split: 'dev' },
      'I might.',
      `You are presented with a video in which the speaker says: I might. Based on the text, video, and audio content, what is the talk_type of this speaker?\nThe candidate labels for talk_type are: [neutral, change, sustain]. Respond in the format: 'talk_type: [label]'. Only one label should be provided.`,
      'change',
      'talk_type: change',
    ],
    [
      'AnnoMi-client',
      { layout: 'swift', split: 'test' },
      'I might.',
      `You are presented with a video in which the speaker says: I might. Based on the text, video, and audio content, what is the communication_behavior of this speaker?\nThe candidate labels for communication_behavior are: [neutral, change, sustain]. Respond in the format: 'communication_behavior: [label]'. Only one label should be provided.`,
      'change',
      'communication_behavior: change',
    ],
    [
      'AnnoMi-therapist',
      { layout: 'swift', split: 'train' },
      'Okay.',
      `You are presented with a video in which the speaker says: Okay. Based on the text, video, and audio content, what is the therapist_behaviour of this speaker?\nThe candidate labels for therapist_behaviour are: [questiontherapist_inputreflectionother]. Respond in the format: 'therapist_behaviour: [label]'. Only one label should be provided.`,
      'therapist_input',
      'therapist_behaviour: therapist_input',
    ],
    [
      'IEMOCAP',
      { layout: 'swift', split: 'test' },
      'Yeah.',
      `You are presented with a video in which the speaker says: Yeah..Based on the text, what is the emotion of this speaker?\nThe candidate labels for emotion are: [angry, happy, sad, neutral, frustrated, excited]. Respond in the format: 'emotion: [label]'. Only one label should be provided.`,
      'neutral',
      'emotion: Neutral',
    ],
    [
      'IEMOCAP',
      { layout: 'llamafactory', split: 'dev' },
      'Yeah.',
      `<video>You are presented with a video in which the speaker says: Yeah. Based on the text, video, and audio content, what is the emotion of this speaker?\nThe candidate labels for emotion are: [angry, happy, sad, neutral, frustrated, excited]. Respond in the format: 'emotion: [label]'. Only one label should be provided.`,
      'neutral',
      'emotion: neutral',
    ],
    [
      'MIntRec',
      { layout: 'llamafactory-text', split: 'train' },
      'help me',
      `The speaker says: help me Based on the text, what is the intent of this speaker?\nThe candidate labels for intent are: ${intents}. Respond in the format: 'intent: [label]'. Only one label should be provided.`,
      'ask for help',
      'intent: Ask for help',
    ],
    [
      'MELD-DA',
      { layout: 'llamafactory-text', split: 'dev' },
      'Hi!',
      `The speaker says: Hi! Based on the text, what is the dialogue_act of this speaker?\nThe candidate labels for dialogue_act are: ${acts}. Respond in the format: 'dialogue_act: [label]'. Only one label should be provided.`,
      'greeting',
      'dialogue_act: greeting',
    ],
    [
      'IEMOCAP-DA',
      { layout: 'llamafactory-text', split: 'dev' },
      'Hi!',
      `The speaker says: Hi! Based on the text, what is the dialogue_act of this speaker?\nThe candidate labels for dialogue_act are: ${acts}. Respond in the format: 'dialogue_act: [label]'.Only one label should be provided.`,
      'greeting',
      'dialogue_act: greeting',
    ],
    [
      'Ch-sims',
      { layout: 'llamafactory-text', split: 'train' },
      '这个神经病',
      `The speaker says: 这个神经病 Based on the text, what is the sentiment of this speaker?\nThe candidate labels for sentiment are: [neutral, positive, negative]. Respond in the format: 'sentiment: [label]'.Only one label should be provided.`,
      'negative',
      'sentiment: Negative',
    ],
    [
      'AnnoMi-therapist',
      { layout: 'llamafactory-text', split: 'train' },
      'Okay.',
      `The speaker says: Okay. Based on the text, what is the therapist_behaviour of this speaker?\nThe candidate labels for therapist_behaviour are: [question, therapist_input, reflection, other]. Respond in the format: 'therapist_behaviour: [label]'.Only one label should be provided.`,
      'therapist_input',
      'therapist_behaviour: therapist_input',
    ],
  ])('%s, %j', (key, kind, text, prompt, label, answer) => {
    expect(storedPrompt(mmlaTask(key), text, kind)).toBe(prompt);
    expect(storedAnswer(mmlaTask(key), label, kind)).toBe(answer);
  });
});

describe('what the files for text do differently', () => {
  const kind = { layout: 'llamafactory-text', split: 'dev' } as const;
  const keysWhere = (holds: (prompt: string, answer: string) => boolean) =>
    mmlaTasks
      .filter((task) => holds(storedPrompt(task, 'x', kind), storedAnswer(task, task.labels[0]!, kind)))
      .map(({ key }) => key);
  it('holds for just these tasks', () => {
    expect(keysWhere((prompt) => prompt.includes("[label]'. Only"))).toEqual([
      ...['MIntRec', 'MIntRec2.0', 'MELD', 'MELD-DA'],
    ]);
    expect(keysWhere((_, answer) => /: [A-Z]/.test(answer))).toEqual([
      ...['MIntRec', 'MIntRec2.0', 'IEMOCAP', 'Ch-sims'],
    ]);
    expect(keysWhere((prompt) => /are: \[[A-Z]/.test(prompt))).toEqual(['MIntRec', 'MIntRec2.0']);
  });
});

describe('presets', () => {
  const candidates = 'The candidate labels for speaking style are: [sincere, sarcastic].';
  it.each<[MmlaPromptPreset, string]>([
    [
      'fixed',
      `A speaker says: "Oh, great."\nWhat is the speaking style of this speaker? The candidate labels are: [sincere, sarcastic].\nAnswer with exactly one of them in the format 'speaking style: [label]'.`,
    ],
    [
      'paper',
      `You are presented with a video in which the speaker says: Oh, great.. Based on the textual, visual, and audio content, what is the speaking style of this speaker?\n${candidates} Respond in the following format: speaking style: label. Only one label should be provided.`,
    ],
    [
      'mmla-train',
      `You are presented with a video in which the speaker says: Oh, great. Based on the text, video, and audio content, what is the speaking style of this speaker?\n${candidates} Respond in the format: 'speaking style: [label]'. Only one label should be provided.`,
    ],
    [
      'mmla-infer',
      `You are presented with a video in which the speaker says: Oh, great.. Based on the text, video, and audio content, what is the speaking style of this speaker?\n${candidates}Respond in the format: 'speaking style: [label]'.  Only one label should be provided.`,
    ],
    [
      'mmla-text',
      `The speaker says: Oh, great. Based on the text, what is the speaking_style of this speaker?\nThe candidate labels for speaking_style are: [sincere, sarcastic]. Respond in the format: 'speaking_style: [label]'.Only one label should be provided.`,
    ],
  ])('%s', (preset, prompt) => {
    expect(mmlaPrompt(mmlaTask('MUStARD'), 'Oh, great.', preset)).toBe(prompt);
  });

  it('answer in the words of their prompts', () => {
    const answers = mmlaPromptPresets.map((preset) =>
      [
        mmlaAnswer(mmlaTask('AnnoMi-client'), 'sustain', preset),
        mmlaAnswer(mmlaTask('IEMOCAP'), 'sad', preset),
      ].join('; '),
    );
    const usual = 'communication behavior: sustain; emotion: sad';
    expect(answers).toEqual([usual, usual, usual, usual, 'talk_type: sustain; emotion: Sad']);
  });
});

const utterances = [
  'Really?',
  'Yeah.',
  'a trailing space ',
  ' a leading one',
  'He says: it is Based on the text, what is the point? Based on the text',
  'two\r\nlines\n',
  '你好。',
  'wait...',
  '[no, list]. Respond in the format',
];

describe('the utterance of a stored prompt', () => {
  it('is found in every layout of every task, whatever it is', () => {
    for (const task of mmlaTasks) {
      for (const layout of mmlaPromptLayouts) {
        for (const split of mmlaSplits) {
          for (const text of utterances) {
            const parsed = parseStoredPrompt(storedPrompt(task, text, { layout, split }));
            expect(parsed?.text, `${task.key} ${layout} ${split}`).toBe(text);
            expect(parsed?.isTextOnly).toBe(layout === 'llamafactory-text');
            expect(promptFault(task, parsed!), `${task.key} ${layout} ${split}`).toBeUndefined();
          }
        }
      }
      for (const preset of ['paper', 'mmla-infer'] as const) {
        for (const text of utterances) {
          const parsed = parseStoredPrompt(mmlaPrompt(task, text, preset));
          expect(parsed?.text, `${task.key} ${preset}`).toBe(text);
          expect(parsed?.offered).toEqual(task.labels);
        }
      }
    }
  });

  it('is found where a file writes the labels as a Python list and no space after "says:"', () => {
    const prompt =
      "You are presented with a video in which the speaker says:we are the manager. Based on the text, video, and audio content, what is the sentiment of this speaker?\nThe candidate labels for sentiment are: ['positive', \"negative\"]. Respond in the format: 'sentiment: [label]'. Only one label should be provided.";
    expect(parseStoredPrompt(prompt)).toEqual({
      text: 'we are the manager.',
      taskWord: 'sentiment',
      offered: ['positive', 'negative'],
      isTextOnly: false,
    });
  });

  it('is unknown in other wordings', () => {
    expect(parseStoredPrompt('What does the speaker feel?')).toBeUndefined();
    expect(parseStoredPrompt('Based on the text, say what she says: now')).toBeUndefined();
  });
});

describe('what a prompt asks', () => {
  const asked = (key: MmlaTaskKey) =>
    parseStoredPrompt(storedPrompt(mmlaTask(key), 'x', { layout: 'swift', split: 'test' }))!;
  it.each<[MmlaTaskKey, MmlaTaskKey, RegExp]>([
    ['MELD', 'MIntRec', /asks for the intent and not for the emotion: it belongs to MIntRec$/],
    ['MELD', 'IEMOCAP', /offers the labels angry, .* not those of MELD .*: it belongs to IEMOCAP$/],
    ['MIntRec', 'MELD-DA', /asks for the dialogue_act .*: it belongs to MELD-DA or IEMOCAP-DA$/],
  ])('of %s is not that of %s', (key, other, message) => {
    expect(promptFault(mmlaTask(key), asked(other))).toMatch(message);
    expect(promptFault(mmlaTask(key), asked(key))).toBeUndefined();
  });

  it.each<[MmlaTaskKey, string, readonly string[], RegExp | undefined]>([
    ['MELD', 'Emotion', ['Joy', 'fear'], undefined],
    ['AnnoMi-client', 'talk type', ['change'], undefined],
    ['MELD', 'emotion', ['joy', 'happiness'], /^offers the labels joy, happiness and not those of MELD/],
    // All of them are labels of CH-SIMS, too.
    ['Ch-sims', 'sentiment', ['positive', 'negative'], /: it belongs to MOSI$/],
  ])('of %s about the %s may be %j', (key, taskWord, offered, message) => {
    const fault = promptFault(mmlaTask(key), { text: '', isTextOnly: false, taskWord, offered });
    if (message === undefined) expect(fault).toBeUndefined();
    else expect(fault).toMatch(message);
  });
});

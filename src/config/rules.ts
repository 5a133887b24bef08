import type { z } from 'zod';
import type { Config } from './schema.ts';
import { answerFaults, PLACEHOLDERS_OF_INPUTS, promptFaults } from './template.ts';
import { isOfAnswers } from './validation.ts';

interface Rule {
  /** Keys whose values the rule reads; it is not applied where one of them is invalid by itself. */
  readonly reads: readonly string[];
  /** Key named in the error. */
  readonly key: string;
  /** What is wrong and what to do, or undefined. */
  check(config: Config): string | undefined;
}

/** Rows of the published temporal embedding for video. */
const VIDEO_QFORMER_FRAMES = 32;

/** Why a run of so many steps cannot have such a warm-up. */
export const warmupFault = ({ steps, schedule }: Config['train']): string | undefined =>
  schedule.type === 'warmup-cosine' && schedule.warmupSteps > steps
    ? `${schedule.warmupSteps} steps of warm-up in a run of ${steps}; expected at most train.steps`
    : undefined;

/** Why a run of so many steps cannot be validated so seldom. */
export const validationFault = ({ steps, validation }: Config['train']): string | undefined =>
  validation !== null && validation.every > steps
    ? `${validation.every}, so a run of ${steps} steps (train.steps) would never be validated; expected at most train.steps`
    : undefined;

const joined = (faults: readonly string[]): string | undefined =>
  faults.length === 0 ? undefined : faults.join('; ');

const RULES: readonly Rule[] = [
  {
    reads: ['data.dataset', 'data.manifest'],
    key: 'data',
    check: ({ data }) => {
      if (data.dataset !== null && data.manifest !== null) {
        return 'both "dataset" and "manifest" are given; keep one';
      }
      if (data.dataset === null && data.manifest === null) {
        return 'neither "dataset" (a registry key) nor "manifest" (a .jsonl or .csv file) is given; give one';
      }
      return undefined;
    },
  },
  {
    reads: ['data.dataset', 'data.mmla'],
    key: 'data.mmla',
    check: ({ data }) =>
      data.mmla !== null && data.dataset !== 'mmla'
        ? 'is about the data set "mmla" alone; set data.dataset to mmla, or data.mmla to null'
        : undefined,
  },
  {
    reads: ['data.dataset', 'data.labelType'],
    key: 'data.labelType',
    check: ({ data }) =>
      data.dataset === 'mmla' && data.labelType !== 'own'
        ? `"${data.labelType}", but the samples of data.dataset "mmla" bring their own questions and answers; set it to own`
        : undefined,
  },
  {
    reads: ['data.dataset', 'data.mmla', 'model.inputs'],
    key: 'data.mmla.mediaRoot',
    check: ({ data, model }) =>
      data.dataset === 'mmla' &&
      (data.mmla?.mediaRoot ?? null) === null &&
      PLACEHOLDERS_OF_INPUTS[model.inputs].length > 0
        ? `null, but model.inputs "${model.inputs}" needs videos; name the folder below which they lie, or set model.inputs to textonly`
        : undefined,
  },
  {
    reads: ['data.mmla'],
    key: 'data.mmla.weights',
    check: ({ data: { mmla } }) => {
      if (mmla === null || typeof mmla.weights === 'string') return undefined;
      const others = Object.keys(mmla.weights).filter((task) => !mmla.tasks.some((one) => one === task));
      return others.length > 0
        ? `${others.join(', ')} ${others.length > 1 ? 'are' : 'is'} not among data.mmla.tasks; add the task there, or take its weight out`
        : undefined;
    },
  },
  {
    reads: ['data.template', 'model.inputs'],
    key: 'data.template.prompt',
    check: ({ data, model }) =>
      data.template === null ? undefined : joined(promptFaults(data.template.prompt, model.inputs)),
  },
  {
    reads: ['data.template'],
    key: 'data.template.answer',
    check: ({ data }) => (data.template === null ? undefined : joined(answerFaults(data.template.answer))),
  },
  {
    reads: ['evaluation', 'data.labelType'],
    key: 'evaluation',
    check: ({ evaluation, data }) =>
      evaluation !== null && ['description', 'valence'].includes(data.labelType)
        ? `choices are labels, but data.labelType is "${data.labelType}"; choose "ovlabel", "onehot_w_candidates", "onehot_wo_candidates", "sentiment" or "hybird", or leave the section out`
        : undefined,
  },
  ...(['visualEncoder', 'audioEncoder'] as const).map(
    (name): Rule => ({
      reads: [`model.${name}`],
      key: `model.${name}.model`,
      check: ({ model }) =>
        model[name].type === 'onnx' && !/\.ya?ml$/i.test(model[name].model)
          ? `"${model[name].model}", but type "onnx" takes the path of the YAML file (.yaml or .yml) that describes the encoder`
          : undefined,
    }),
  ),
  {
    reads: ['model.inputs', 'fusion.multi'],
    key: 'fusion.multi',
    check: ({ model, fusion }) =>
      fusion.multi === 'none' && model.inputs.startsWith('multi')
        ? `"none", but model.inputs "${model.inputs}" contains a pre-fused vector; choose "attention" or "qformer", or inputs without "multi" such as "face"`
        : undefined,
  },
  {
    reads: ['model.frames', 'fusion.video'],
    key: 'model.frames',
    check: ({ model, fusion }) =>
      fusion.video === 'qformer' && model.frames > VIDEO_QFORMER_FRAMES
        ? `${model.frames}, but the video Q-Former has positions for ${VIDEO_QFORMER_FRAMES} frames; take fewer, or fusion.video "attention" or "mean"`
        : undefined,
  },
  {
    reads: ['train.steps', 'train.epochs', 'train.schedule'],
    key: 'train.schedule.warmupSteps',
    check: ({ train }) => (train.epochs === null ? warmupFault(train) : undefined),
  },
  {
    reads: ['train.schedule'],
    key: 'train.schedule.warmupRatio',
    check: ({ train: { schedule } }) =>
      schedule.type === 'warmup-cosine' && schedule.warmupRatio !== null && schedule.warmupSteps > 0
        ? `${schedule.warmupRatio}, and warmupSteps is ${schedule.warmupSteps}; give one of them, or set warmupRatio to null`
        : undefined,
  },
  {
    reads: ['engine.devices', 'train.accumulation'],
    key: 'engine.devices',
    check: ({ engine: { devices }, train: { accumulation } }) =>
      accumulation % devices !== 0
        ? `${devices} devices cannot share the ${accumulation} batches of a step (train.accumulation) evenly; set train.accumulation to a multiple of ${devices}, such as ${devices * Math.ceil(accumulation / devices)}, or engine.devices to a number that divides it`
        : undefined,
  },
  {
    reads: ['train.checkpoint'],
    key: 'train.checkpoint.keepEvery',
    check: ({ train: { checkpoint } }) =>
      checkpoint.keepEvery !== null && checkpoint.keepEvery % checkpoint.every !== 0
        ? `${checkpoint.keepEvery}, but checkpoints are saved every ${checkpoint.every} steps (train.checkpoint.every); expected a multiple of that, such as ${checkpoint.every * Math.max(1, Math.round(checkpoint.keepEvery / checkpoint.every))}`
        : undefined,
  },
  {
    reads: ['train.validation', 'train.steps', 'train.epochs'],
    key: 'train.validation.every',
    check: ({ train }) => (train.epochs === null ? validationFault(train) : undefined),
  },
  {
    reads: ['train.validation'],
    key: 'train.validation.metric',
    check: ({ train: { validation } }) =>
      validation !== null && isOfAnswers(validation.metric) && validation.answers === 0
        ? `"${validation.metric}" is a metric of answers, and train.validation.answers is 0; say how many samples the model is to answer, or take "loss" or "teacherForcedExactMatch"`
        : undefined,
  },
  ...(['minLr', 'warmupLr'] as const).map(
    (name): Rule => ({
      reads: ['train.optimizer.lr', 'train.schedule'],
      key: `train.schedule.${name}`,
      check: ({ train: { optimizer, schedule } }) =>
        schedule.type === 'warmup-cosine' && schedule[name] > optimizer.lr
          ? `${schedule[name]} is above train.optimizer.lr (${optimizer.lr}), the highest learning rate of the schedule`
          : undefined,
    }),
  ),
  {
    reads: ['train.parts', 'model.inputs'],
    key: 'train.parts',
    check: ({ train: { parts }, model }) => {
      if (parts.decoder !== 'frozen') return undefined;
      if (model.inputs === 'textonly') {
        return 'the decoder is frozen and inputs "textonly" use no other part, so nothing would be trained; set decoder to "lora" or "full"';
      }
      return parts.fusion === 'frozen' && parts.projectors === 'frozen'
        ? 'every part is frozen, so nothing would be trained'
        : undefined;
    },
  },
  {
    reads: ['compat', 'data.featureCache'],
    key: 'compat.audioNormalisation',
    check: ({ compat, data }) =>
      compat.audioNormalisation === 'batch' && data.featureCache !== null
        ? '"batch" makes the features of a sample depend on its neighbours, so they cannot be cached; set data.featureCache to null or choose "sample" or "clip"'
        : undefined,
  },
];

const overlaps = (left: string, right: string): boolean =>
  left === right || left.startsWith(`${right}.`) || right.startsWith(`${left}.`);

/**
 * Rules between keys. Runs even where other keys are wrong, so that all errors come at once, and leaves out the
 * rules that would read a wrong one.
 */
export function checkRules(config: Config, context: z.core.$RefinementCtx<Config>): void {
  const wrong = context.issues
    .filter((issue) => issue.code !== 'unrecognized_keys')
    .map((issue) => (issue.path ?? []).join('.'));
  for (const rule of RULES) {
    if (wrong.some((path) => path === '' || rule.reads.some((key) => overlaps(path, key)))) continue;
    const message = rule.check(config);
    if (message !== undefined) {
      context.addIssue({ code: 'custom', path: rule.key.split('.'), message });
    }
  }
}

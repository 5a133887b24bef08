import { InputError } from '../../../errors.ts';
import { type MmlaModelFacts, mmlaMethods, mmlaModalities } from '../report/schema.ts';

/** What is said of a model where its reports do not tell, or in place of what they tell. */
export type AboutModel = MmlaModelFacts;

export const modelFacts = ['method', 'modality', 'parameters'] as const satisfies (keyof MmlaModelFacts)[];

/** What all reports tell alike; one alone may tell of other tasks. */
export const agreedFacts = ([first = {}, ...others]: readonly MmlaModelFacts[]): MmlaModelFacts =>
  Object.fromEntries(
    modelFacts
      .filter((fact) => first[fact] !== undefined && others.every((other) => other[fact] === first[fact]))
      .map((fact) => [fact, first[fact]]),
  );

/**
 * Reads what is said of models: `NAME=sft,text,0.5B`, in any order, each at most once.
 *
 * @returns by name of the model
 * @throws InputError `MMLA_ABOUT_INVALID` with every one that is not so
 */
export function parseAbout(texts: readonly string[]): Map<string, AboutModel> {
  const faults: string[] = [];
  const read = new Map<string, AboutModel>();
  for (const text of texts) {
    const end = text.lastIndexOf('=');
    const name = text.slice(0, Math.max(end, 0));
    const about = end < 0 ? undefined : parseParts(text.slice(end + 1).split(','));
    if (name === '' || about === undefined) faults.push(`"${text}"`);
    else if (read.has(name)) faults.push(`"${text}" (${name} is described twice)`);
    else read.set(name, about);
  }
  if (faults.length === 0) return read;
  throw new InputError(
    'MMLA_ABOUT_INVALID',
    `--about ${faults.join(', ')}: expected is the name of a model, "=", and, with commas between them and each at most once, ${mmlaMethods.join(' | ')}, ${mmlaModalities.join(' | ')}, and its parameters such as 0.5B.`,
  );
}

/** Undefined where a part is nothing of these, or one comes twice. */
function parseParts(parts: readonly string[]): AboutModel | undefined {
  let about: AboutModel = {};
  for (const part of parts) {
    const method = mmlaMethods.find((one) => one === part);
    const modality = mmlaModalities.find((one) => one === part);
    const [, billions] = /^(\d+(?:\.\d+)?)B$/i.exec(part) ?? [];
    let said: AboutModel | undefined;
    if (method !== undefined) said = { method };
    else if (modality !== undefined) said = { modality };
    else if (billions !== undefined) said = { parameters: Number(billions) };
    if (said === undefined || Object.keys(said).some((key) => Object.hasOwn(about, key))) return undefined;
    about = { ...about, ...said };
  }
  return about;
}

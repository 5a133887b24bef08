/** A model of the hub, at a branch, tag or commit. */
export interface ModelReference {
  /** `organisation/name`, or a plain name for the few oldest models. */
  readonly id: string;
  /** Branch, tag or commit hash; `main` unless given. */
  readonly revision: string;
}

const defaultRevision = 'main';

/** Whether a revision is a whole commit hash, whose files never change. */
export const isCommitHash = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The rules of the hub: letters, digits, `-`, `_`, `.`; no `--` and `..`, which have a meaning in its cache. */
function isModelId(text: string): boolean {
  const parts = text.split('/');
  const isName = (part: string) => /^\w(?:[\w.-]{0,94}\w)?$/.test(part);
  return parts.length <= 2 && parts.every(isName) && !/--|\.\.|\.git$/.test(text);
}

/** Whether a path inside a repository (or a revision) stays below the folder that it is joined to, on every system. */
export function isSafePath(name: string): boolean {
  const isUnsafe = (part: string) =>
    part === '' || part === '.' || part === '..' || /[\\:\p{Cc}]/u.test(part);
  return name.length <= 1024 && !name.split('/').some(isUnsafe);
}

/** Reads `id` or `id@revision`; undefined for anything else, such as a folder or a revision with another `@`. */
export function parseReference(text: string): ModelReference | undefined {
  const at = text.indexOf('@');
  const id = at < 0 ? text : text.slice(0, at);
  const revision = at < 0 ? defaultRevision : text.slice(at + 1);
  return isModelId(id) && isSafePath(revision) && !revision.includes('@') ? { id, revision } : undefined;
}

/** `id`, or `id@revision` where that is not `main`. */
export function formatReference({ id, revision }: ModelReference): string {
  return revision === defaultRevision ? id : `${id}@${revision}`;
}

/** The command that gets a model, or those of its files that match patterns. */
export const pullCommand = (reference: ModelReference, include: readonly string[] = []): string =>
  [`affectgpt pull ${formatReference(reference)}`, ...include.map((glob) => `--include "${glob}"`)].join(' ');

import { isJsonObject } from '../io/json.ts';

/** A file that the page of a project lists. */
export interface ListedFile {
  readonly name: string;
  /** Absolute address. */
  readonly url: string;
  /** SHA-256, where the page says it. */
  readonly sha256: string | undefined;
}

/** What to ask for: the JSON form of the simple index first, both HTML forms else. */
export const acceptedForms =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1';

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
  '#x27': "'",
};
const unescaped = (text: string): string =>
  text.replace(/&(#?\w+);/g, (whole, name: string) => entities[name.toLowerCase()] ?? whole);

/**
 * Files of a project's page of the simple index, in its JSON form (PEP 691) or its HTML form (PEP 503).
 *
 * @param url the address that the page came from, which relative links start from
 * @returns undefined where the text is neither
 */
export function readProjectPage(
  text: string,
  contentType: string,
  url: string,
): readonly ListedFile[] | undefined {
  return /json/.test(contentType) ? fromJson(text, url) : fromHtml(text, url);
}

function fromJson(text: string, base: string): ListedFile[] | undefined {
  let page: unknown;
  try {
    page = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isJsonObject(page) || !Array.isArray(page.files)) return undefined;
  return page.files.flatMap((file: unknown) => {
    if (!isJsonObject(file)) return [];
    const { filename, url, hashes } = file;
    if (typeof filename !== 'string' || typeof url !== 'string' || !URL.canParse(url, base)) return [];
    const hash = isJsonObject(hashes) ? hashes.sha256 : undefined;
    const sha256 = typeof hash === 'string' ? hash.toLowerCase() : undefined;
    return [{ name: filename, url: new URL(url, base).href, sha256 }];
  });
}

function fromHtml(text: string, address: string): ListedFile[] | undefined {
  if (!/<(!doctype|html|a)\b/i.test(text)) return undefined;
  const [, written] = /<base\b[^>]*\bhref\s*=\s*["']([^"']+)/i.exec(text) ?? [];
  const base = written === undefined ? address : new URL(unescaped(written), address).href;
  const links = text.matchAll(/<a\b[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')[^>]*>([^<]*)<\/a>/gi);
  return [...links].flatMap(([, double, single, label = '']) => {
    const link = unescaped(double ?? single ?? '');
    if (!URL.canParse(link, base)) return [];
    const url = new URL(link, base);
    const [, sha256] = /(?:^#|&)sha256=([0-9a-f]{64})/i.exec(url.hash) ?? [];
    url.hash = '';
    return [{ name: unescaped(label).trim(), url: url.href, sha256: sha256?.toLowerCase() }];
  });
}

import { createHash } from 'node:crypto';

/** Text as it may stand in the content or in a quoted attribute of HTML. */
export function escapeHtml(text: string): string {
  const signs: Readonly<Record<string, string>> = {
    ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
  };
  return text.replace(/[&<>"']/g, (sign) => signs[sign]!);
}

/** Colours by use. */
const lightColours = `--ink: #1d2430; --paper: #fbfbf9; --panel: #fff; --rule: #e3e3de; --grid: #ecece6; --muted: #667;
    --note: #fff3d6; --note-edge: #e0a52b; --bad: #b3372f; --good: #2a8a57; --hue-0: #2458a6; --hue-1: #c2571a; --hue-2: #2a8a57; --hue-3: #7a4fa3;`;
const darkColours = `--ink: #dfe3ea; --paper: #16191f; --panel: #1d2128; --rule: #333944; --grid: #2a2f38; --muted: #98a1b0;
    --note: #3a3018; --note-edge: #c08a1e; --bad: #ee8178; --good: #62c491; --hue-0: #7faaf0; --hue-1: #f0995f; --hue-2: #62c491; --hue-3: #bb97e6;`;

const baseStyle = `
  :root { ${lightColours} }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--paper); }
  h1 { margin-bottom: 0.2rem; } .note { background: var(--note); border-left: 4px solid var(--note-edge); padding: 0.6rem 1rem; }
  table { border-collapse: collapse; } td, th { padding: 0.25rem 0.5rem; border-bottom: 1px solid var(--rule); text-align: left; }
  td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
  svg { width: 100%; background: var(--panel); border: 1px solid var(--rule); } .grid { stroke: var(--grid); } .tick { font-size: 12px; fill: var(--muted); } .legend { font-size: 13px; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dt { color: var(--muted); } dd { margin: 0; }`;

const darkStyle = `
  :root { color-scheme: light dark; }
  @media (prefers-color-scheme: dark) { :root { ${darkColours} } }`;

export interface Page {
  readonly title: string;
  /** Rules beyond those that all pages share. */
  readonly style?: string;
  /** Whether it follows a reader's dark mode: for pages that name colours by the variables alone. Default: no. */
  readonly hasDarkMode?: boolean;
  /** HTML; whatever comes from data has gone through `escapeHtml`. */
  readonly body: string;
  /** A script that is part of the program and holds no data; it runs when the body is there. Default: none. */
  readonly script?: string;
}

/** A whole page that needs nothing from elsewhere: its policy forbids requests, and scripts other than the given one. */
export function htmlPage({ title, style = '', hasDarkMode = false, body, script }: Page): string {
  const hash = script === undefined ? undefined : createHash('sha256').update(script).digest('base64');
  const scripts = hash === undefined ? '' : `; script-src 'sha256-${hash}'`;
  const policy = `default-src 'none'; style-src 'unsafe-inline'; img-src data:${scripts}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeHtml(title)}</title><style>${baseStyle}${hasDarkMode ? darkStyle : ''}${style}</style></head><body>
${body}
${script === undefined ? '' : `<script>${script}</script>\n`}</body></html>
`;
}

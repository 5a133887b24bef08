/** Text as it may stand in the content or in a quoted attribute of HTML. */
export function escapeHtml(text: string): string {
  const signs: Readonly<Record<string, string>> = {
    ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' },
  };
  return text.replace(/[&<>"']/g, (sign) => signs[sign]!);
}

const baseStyle = `
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 960px; margin: 2rem auto; padding: 0 1rem; color: #1d2430; background: #fbfbf9; }
  h1 { margin-bottom: 0.2rem; } .note { background: #fff3d6; border-left: 4px solid #e0a52b; padding: 0.6rem 1rem; }
  table { border-collapse: collapse; } td, th { padding: 0.25rem 0.5rem; border-bottom: 1px solid #e3e3de; text-align: left; }
  td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
  svg { width: 100%; background: #fff; border: 1px solid #e3e3de; } .grid { stroke: #ecece6; } .tick { font-size: 12px; fill: #667; } .legend { font-size: 13px; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; } dt { color: #667; } dd { margin: 0; }`;

export interface Page {
  readonly title: string;
  /** Rules beyond those that all pages share. */
  readonly style?: string;
  /** HTML; whatever comes from data has gone through `escapeHtml`. */
  readonly body: string;
}

/** A whole page that needs nothing from elsewhere and may run nothing: its policy forbids scripts and requests. */
export function htmlPage({ title, style = '', body }: Page): string {
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeHtml(title)}</title><style>${baseStyle}${style}</style></head><body>
${body}
</body></html>
`;
}

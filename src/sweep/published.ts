import { isDeepStrictEqual } from 'node:util';
import { isPlain } from '../config/layer.ts';
import { loadConfig } from '../config/load.ts';
import { packageFolder } from '../config/package-folder.ts';
import type { Config } from '../config/schema.ts';
import { escapeHtml } from '../report/page.ts';
import { htmlTable, markdownTable, percent, type Table } from '../report/table.ts';
import type { Metric } from './metric-names.ts';
import {
  type AblationRow,
  type PublishedMeans,
  type PublishedTable,
  publishedTables,
} from './published-tables.ts';
import type { SettingResult, SweepResults } from './results.ts';
import { settingCells, summaryText } from './tables.ts';

/** The value of a dotted key; undefined where there is none. */
const at = (values: unknown, key: string): unknown =>
  key.split('.').reduce<unknown>((inner, name) => (isPlain(inner) ? inner[name] : undefined), values);

/** What the published numbers were trained with. */
const recipe = () =>
  loadConfig({ config: 'prefusion-attn.yaml', folder: `${packageFolder()}/configs` }).config;

/** Keys of a configuration that say how something was trained, but not what a table varies. */
const recipeKeys = [
  ...['model.llm', 'model.visualEncoder', 'model.audioEncoder', 'model.inputs', 'model.frames'],
  ...['fusion.multi', 'fusion.video', 'fusion.audio', 'train.parts', 'lora.rank', 'lora.alpha'],
  ...['data.dataset', 'data.labelType', 'train.steps', 'train.batchSize', 'train.accumulation'],
  ...['train.epochs', 'train.optimizer', 'train.schedule', 'compat'],
];

/** Keys in which a setting is trained otherwise than the published row that it is laid beside. */
function deviations(setting: SettingResult, { varies }: PublishedTable): string[] {
  const config = setting.points[0]?.point.config;
  const published = recipe();
  const isVaried = (key: string) =>
    varies.some((one) => one === key || one.startsWith(`${key}.`) || key.startsWith(`${one}.`));
  return recipeKeys.filter(
    (key) => !isVaried(key) && !isDeepStrictEqual(at(config, key), at(published, key)),
  );
}

/** What of a setting decides which row it is laid beside. */
type RowSetting = Pick<SettingResult, 'cells'> & {
  readonly points: readonly { readonly point: { readonly config: Config } }[];
};

/** Whether a setting has what a row says: of a column of the sweep its value, else of the configuration. */
export function matchesRow({ cells, points }: RowSetting, { when }: AblationRow): boolean {
  const config = points[0]?.point.config;
  return Object.entries(when).every(([key, value]) =>
    isDeepStrictEqual(Object.hasOwn(cells, key) ? cells[key] : at(config, key), value),
  );
}

/** Which published mean a figure is; undefined where it is none. */
function meanOf({ source }: Metric, means: PublishedMeans): number | undefined {
  if (source.from !== 'mer-unibench') return undefined;
  const key = source.key as keyof PublishedMeans;
  return Object.hasOwn(means, key) ? means[key] : undefined;
}

interface Overlay {
  readonly table: PublishedTable;
  readonly shown: Table;
  readonly notes: readonly string[];
}

/** A published ablation with our figures beside it: ours, theirs and the difference, a row a figure and setting. */
function overlay(table: PublishedTable, { settings, metrics, columns }: SweepResults): Overlay {
  const rows: string[][] = [];
  const otherwise = new Map<string, string[]>();
  const missing: string[] = [];
  for (const row of table.rows) {
    // Where a sweep varies more than the table does, only the settings that are like the paper's in the rest.
    const candidates = settings.filter((setting) => matchesRow(setting, row));
    const fewest = Math.min(...candidates.map((setting) => deviations(setting, table).length));
    const matched = candidates.filter((setting) => deviations(setting, table).length === fewest);
    if (matched.length === 0) missing.push(row.name);
    for (const setting of matched) {
      const keys = deviations(setting, table);
      if (keys.length > 0) otherwise.set(setting.id, keys);
      for (const [i, metric] of metrics.entries()) {
        const published = meanOf(metric, row.means);
        if (published === undefined) continue;
        const summary = setting.summaries[i];
        const difference = summary === undefined ? undefined : 100 * summary.mean - published;
        rows.push([
          row.name,
          settingCells(setting, columns).join(', '),
          metric.name,
          summaryText(metric, summary),
          percent(published / 100),
          difference === undefined ? '–' : `${difference > 0 ? '+' : ''}${difference.toFixed(2)}`,
        ]);
      }
    }
  }
  const reasons = new Map<string, string[]>();
  for (const [id, keys] of otherwise) {
    const key = keys.join(', ');
    reasons.set(key, [...(reasons.get(key) ?? []), id]);
  }
  return {
    table,
    shown: {
      head: ['published row', 'setting', 'figure', 'here (%)', 'published (%)', 'difference'],
      rows,
      textColumns: [0, 1, 2],
    },
    notes: [
      ...[...reasons].map(
        ([keys, ids]) =>
          `Trained otherwise than the published row, so the difference says little: ${ids.join('; ')} (${keys}).`,
      ),
      ...(missing.length > 0
        ? [`Published rows without a setting in this sweep: ${missing.join('; ')}.`]
        : []),
    ],
  };
}

const preface =
  'Published: one training each, the best checkpoint of each set chosen on the test set (protocol paper). Compare with figures under the same protocol and extractor only.';

/** The published ablations that a sweep file names, with our figures laid over them; none where it names none. */
function overlays(results: SweepResults): Overlay[] {
  const names = results.sweep.file.published;
  return Object.entries(publishedTables).flatMap(([name, table]) =>
    names.includes(name) ? [overlay(table, results)] : [],
  );
}

/** Sections of `results.md`. */
export function publishedMarkdown(results: SweepResults): string | undefined {
  const sections = overlays(results).map(({ table, shown, notes }) => {
    const list = notes.map((note) => `- ${note}\n`).join('');
    return `### ${table.title} (${table.source})\n\n${markdownTable(shown)}${list === '' ? '' : `\n${list}`}`;
  });
  return sections.length === 0 ? undefined : `## Beside the paper\n\n${preface}\n\n${sections.join('\n')}`;
}

/** Sections of `results.html`. */
export function publishedHtml(results: SweepResults): string {
  const sections = overlays(results).map(({ table, shown, notes }) => {
    const list = notes.map((note) => `<li>${escapeHtml(note)}</li>`).join('');
    return `<h3>${escapeHtml(`${table.title} (${table.source})`)}</h3>\n<div class="wide">${htmlTable(shown)}</div><ul>${list}</ul>`;
  });
  return sections.length === 0 ? '' : `<h2>Beside the paper</h2>\n<p>${preface}</p>\n${sections.join('\n')}`;
}

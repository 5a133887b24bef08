import { basename } from 'node:path';
import { escapeHtml, htmlPage } from '../report/page.ts';
import type { Evaluation, Judged, TrainedVariant, VariantName } from './stages.ts';
import { variants } from './stages.ts';

/** What the page shows. */
export interface QuickstartResult {
  readonly seed: number;
  readonly seconds: number;
  readonly peakMemoryMb: number;
  readonly machine: string;
  readonly trainClips: number;
  readonly chance: number;
  readonly trained: Readonly<Record<VariantName, TrainedVariant>>;
  readonly evaluated: Readonly<Record<VariantName, Evaluation>>;
  /** The model of all modalities, asked about clips put together from parts of others. */
  readonly shuffled: Evaluation;
}

/** A held-out clip with its pictures as data URLs. */
export interface ShownClip extends Judged {
  readonly subtitle: string;
  readonly pictures: readonly string[];
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** The rows of the closing table: who was asked, and how often it was right. */
function resultRows({ evaluated, shuffled, chance }: QuickstartResult): [string, number][] {
  const rows = Object.entries(variants).map(([name, { title }]): [string, number] => [
    title,
    evaluated[name as VariantName].accuracy,
  ]);
  return [...rows, ['face + voice + text, shuffled between clips', shuffled.accuracy], ['chance', chance]];
}

/** The closing table as text. */
export function resultTable(result: QuickstartResult): string {
  const clips = result.shuffled.answers.length;
  const rows = resultRows(result).map(
    ([title, share]) => `  ${title.padEnd(44)}${percent(share).padStart(8)}`,
  );
  const head = `Accuracy on ${clips} held-out synthetic clips (other speakers, places and sentences than trained on):`;
  return `${head}\n${rows.join('\n')}\n`;
}

const colours: Record<VariantName, string> = {
  all: '#2458a6',
  audio: '#c2571a',
  face: '#2a8a57',
  text: '#7a4fa3',
};

/** Running mean, so that curves of small batches can be told apart. */
function smooth(values: readonly number[], weight = 0.9): number[] {
  let mean = values[0] ?? 0;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    return mean;
  });
}

/** Loss over steps of all trained models as an SVG. */
function lossCurves(trained: QuickstartResult['trained']): string {
  const [width, height, left, bottom] = [720, 260, 46, 28];
  const curves = Object.values(trained).map(({ name, losses }) => ({ name, values: smooth(losses) }));
  const steps = Math.max(...curves.map(({ values }) => values.length));
  const top = Math.max(...curves.flatMap(({ values }) => values));
  const x = (step: number): string =>
    (left + (step / Math.max(steps - 1, 1)) * (width - left - 10)).toFixed(1);
  const y = (loss: number): string => (height - bottom - (loss / top) * (height - bottom - 10)).toFixed(1);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = y(part * top);
    return `<line x1="${left}" x2="${width - 10}" y1="${at}" y2="${at}" class="grid"/><text x="${left - 6}" y="${at}" class="tick" text-anchor="end" dy="4">${(part * top).toFixed(2)}</text>`;
  });
  const lines = curves.map(({ name, values }) => {
    const points = values.map((loss, step) => `${x(step)},${y(loss)}`).join(' ');
    return `<polyline points="${points}" fill="none" stroke="${colours[name]}" stroke-width="2"/>`;
  });
  const legend = curves.map(
    ({ name }, i) =>
      `<text x="${left + 12 + 150 * i}" y="${height - bottom - 12}" fill="${colours[name]}" class="legend">${variants[name].title}</text>`,
  );
  const axis = `<text x="${width / 2}" y="${height - 6}" class="tick" text-anchor="middle">optimizer step (of ${steps}); running mean of the loss</text>`;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="loss over steps">${grid.join('')}${lines.join('')}${legend.join('')}${axis}</svg>`;
}

function clipCard(clip: ShownClip): string {
  const pictures = clip.pictures.map((url) => `<img src="${url}" alt="">`).join('');
  const right = clip.truth === clip.answer;
  return `<figure class="${right ? 'right' : 'wrong'}"><div>${pictures}</div><figcaption><p class="said">“${escapeHtml(clip.subtitle)}”</p><p>${escapeHtml(clip.text)}</p><p class="truth">${right ? '✓' : '✗'} it is ${clip.truth} · ${escapeHtml(basename(clip.name))}</p></figcaption></figure>`;
}

const style = `
  table { width: 100%; max-width: 640px; } td.bar { width: 45%; } td.bar div { height: 0.9rem; background: #2458a6; border-radius: 2px; }
  .sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 1rem; }
  figure { margin: 0; background: #fff; border: 1px solid #e3e3de; border-top: 4px solid #2a8a57; } figure.wrong { border-top-color: #b3372f; }
  figure img { width: 33.33%; display: inline-block; vertical-align: top; } figcaption { padding: 0.5rem 0.8rem; font-size: 0.9rem; }
  figcaption p { margin: 0.1rem 0; } .said { color: #556; font-style: italic; } .truth { color: #667; font-size: 0.8rem; }`;

/** The whole page, without anything from elsewhere. */
export function resultPage(result: QuickstartResult, clips: readonly ShownClip[]): string {
  const rows = resultRows(result)
    .map(
      ([title, share]) =>
        `<tr><td>${title}</td><td class="bar"><div style="width:${(100 * share).toFixed(1)}%"></div></td><td class="number">${percent(share)}</td></tr>`,
    )
    .join('\n');
  const heldOut = result.shuffled.answers.length;
  const body = `<h1>AffectGPT quickstart</h1>
<p class="note"><strong>Everything here is synthetic:</strong> drawn faces, a synthesised voice, sentences from templates. The figures say
that the program learns to combine face and voice; they say nothing about real people.</p>
<h2>Held-out accuracy</h2>
<p>${result.trainClips} clips to train on, ${heldOut} of other speakers, voices, places, light and sentences to test with. Some emotions differ only in the
voice and some only in the face. Each model was trained separately with the same budget; right means that the first emotion it names is the clip's.</p>
<table>${rows}</table>
<h2>Loss</h2>
${lossCurves(result.trained)}
<h2>What the model says about clips it has never seen</h2>
<div class="sheet">${clips.map(clipCard).join('\n')}</div>
<h2>How it was made</h2>
<p>The encoders learned to see and hear from other random faces and voices, without any emotion. The decoder learned its language from sentences in which words such as “smiling” or
“trembling” stand where the vectors of pictures and sounds will be: no clip went into it. Encoders and decoder were then frozen; adapters, pre-fusion, pooling and projectors were trained on the clips.</p>
<dl><dt>seed</dt><dd>${result.seed}</dd><dt>time</dt><dd>${result.seconds.toFixed(0)} s for everything</dd><dt>peak memory</dt><dd>${result.peakMemoryMb.toFixed(0)} MB</dd><dt>machine</dt><dd>${escapeHtml(result.machine)}</dd></dl>`;
  return htmlPage({ title: 'AffectGPT quickstart', style, body });
}

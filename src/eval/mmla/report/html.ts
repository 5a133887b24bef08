import { mmlaTask } from '../../../data/mmla/tasks.ts';
import { barChart } from '../../../report/bar-chart.ts';
import { confusionTable } from '../../../report/confusion-table.ts';
import { escapeHtml, htmlPage } from '../../../report/page.ts';
import { htmlTable } from '../../../report/table.ts';
import type { MmlaReport, MmlaTaskReport } from './schema.ts';
import { classTable, headerRows, intervalTable, scoreTable, seedTable } from './tables.ts';

const style = `
  body { max-width: 1080px; } .bar { fill: #2458a6; } .whisker { stroke: #1d2430; stroke-width: 1.5; } .wide { overflow-x: auto; }
  table { font-size: 0.9rem; margin: 0.6rem 0; } section { border-top: 1px solid #d5d5cf; margin-top: 2rem; } dd { overflow-wrap: anywhere; }`;

/** `report.html`: one page without scripts or anything from elsewhere. */
export function reportHtml(report: MmlaReport): string {
  const rows = headerRows(report).map(
    ([key, value]) => `<dt>${escapeHtml(key)}</dt><dd>${escapeHtml(value)}</dd>`,
  );
  const bars = report.tasks.map(({ task, metrics, intervals }) => ({
    ...{ title: mmlaTask(task).title, value: metrics.ACC },
    ...(intervals !== null && { interval: intervals.ACC }),
  }));
  const intervals = intervalTable(report);
  const body = [
    `<h1>MMLA: ${escapeHtml(report.model.name)}</h1>\n<dl>${rows.join('')}</dl>`,
    `<h2>Accuracy</h2>\n${barChart('accuracy of all tasks in percent', bars)}`,
    `<div class="wide">${htmlTable(scoreTable(report))}</div>`,
    intervals === undefined ? '' : `<div class="wide">${htmlTable(intervals)}</div>`,
    ...report.tasks.map(taskSection),
  ];
  return htmlPage({ title: `MMLA: ${report.model.name}`, style, body: body.join('\n') });
}

function taskSection(task: MmlaTaskReport): string {
  const { title, dimension } = mmlaTask(task.task);
  const seeds = seedTable(task);
  return [
    `<section><h2>${escapeHtml(`${title}: ${dimension}`)}</h2>`,
    htmlTable(classTable(task)),
    seeds === undefined ? '' : `<div class="wide">${htmlTable(seeds)}</div>`,
    `<h3>Confusion</h3>\n${confusionTable(task.confusion)}`,
    '</section>',
  ].join('\n');
}

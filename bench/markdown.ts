/** Measures as a table for README. */
import { type Figure, listFaster, type Measure, ratioOf } from './measure.ts';

/** A table in Markdown: one line for each measure. */
export function formatTable(measures: readonly Measure[]): string {
  const head = [
    '| | round trip | pine-rsh | compared with | ratio | others |',
    '| --- | ---: | ---: | ---: | ---: | --- |',
  ];
  return [...head, ...measures.map(formatRow)].join('\n');
}

function formatRow(measure: Measure): string {
  const [ours, ...rest] = measure.figures;
  if (ours === undefined) throw new Error(`no figure for ${measure.what}`);
  const base = rest.find(({ who }) => who === measure.base);
  const others = rest.filter((figure) => figure !== base).map((each) => `${each.who} ${show(each, measure)}`);
  const faster = listFaster(measure);
  if (faster.length > 0) others.push(`**${faster.join(', ')}: better than pine-rsh**`);
  if (measure.note !== undefined) others.push(measure.note);
  const cells = [
    `${measure.part}: ${measure.what}`,
    measure.roundTrip === undefined ? '' : `${measure.roundTrip} ms`,
    show(ours, measure),
    base === undefined ? '' : `${base.who} ${show(base, measure)}`,
    ratioOf(measure, ours)?.toFixed(2) ?? '',
    others.join('; '),
  ];
  return `| ${cells.join(' | ')} |`;
}

function show({ median }: Figure, { unit }: Measure): string {
  return `${median.toFixed(median < 100 ? 1 : 0)} ${unit}`;
}

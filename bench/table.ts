/** Measures as lines of text. A ratio is to the base, which is 1; whoever is faster than we are is named. */
import { listFaster, type Measure, ratioOf } from './measure.ts';

/** One measure for a terminal: a headline, and a line for each program. */
export function formatMeasure(measure: Measure): string {
  const faster = listFaster(measure);
  const lines = measure.figures.map((figure) => {
    const ratio = ratioOf(measure, figure)?.toFixed(2) ?? '';
    const remark = faster.includes(figure.who) ? '  better than pine-rsh' : '';
    const numbers = [figure.median.toFixed(1), figure.min.toFixed(1), ratio];
    return `  ${figure.who.padEnd(30)}${numbers.map((each) => each.padStart(9)).join('')}${remark}`;
  });
  const note = measure.note === undefined ? '' : `  (${measure.note})`;
  const columns = ['median', 'min', 'ratio'].map((each) => each.padStart(9)).join('');
  const runs = measure.figures[0]?.runs ?? 0;
  const head = `${nameOf(measure)}, ${measure.unit}, ${runs} runs`;
  return `${head.padEnd(32)}${columns}${note}\n${lines.join('\n')}\n`;
}

function nameOf({ part, what, roundTrip }: Measure): string {
  const line = roundTrip === undefined ? '' : `, RTT ${roundTrip}`;
  return `${part}: ${what}${line}`;
}

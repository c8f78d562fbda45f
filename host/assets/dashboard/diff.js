// Two texts line by line: what goes, what comes, and a little of what stays around it. Signs and words, not only colours.

import { h } from './dom.js';

const AROUND = 3;
// Beyond this many comparisons the middle is shown as one block that goes and one that comes.
const CELLS_MAX = 4_000_000;

/** The lines of both: `[sign, line]`, where the sign is `-`, `+` or a space. */
export function compare(before, after) {
  const old = before.split('\n');
  const now = after.split('\n');
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end += 1;
  const gone = old.slice(start, old.length - end);
  const come = now.slice(start, now.length - end);
  return [
    ...old.slice(0, start).map(line => [' ', line]),
    ...middle(gone, come),
    ...old.slice(old.length - end).map(line => [' ', line]),
  ];
}

function middle(gone, come) {
  if (gone.length * come.length > CELLS_MAX) return [...gone.map(line => ['-', line]), ...come.map(line => ['+', line])];
  // Longest common subsequence, from the end, so that it is walked from the start.
  const width = come.length + 1;
  const lengths = new Uint32Array((gone.length + 1) * width);
  for (let i = gone.length - 1; i >= 0; i -= 1) {
    for (let j = come.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = gone[i] === come[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const lines = [];
  let i = 0;
  let j = 0;
  while (i < gone.length || j < come.length) {
    if (i < gone.length && j < come.length && gone[i] === come[j]) {
      lines.push([' ', gone[i]]);
      i += 1;
      j += 1;
    } else if (i < gone.length && (j >= come.length || lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      lines.push(['-', gone[i]]);
      i += 1;
    } else {
      lines.push(['+', come[j]]);
      j += 1;
    }
  }
  return lines;
}

/** Both texts as one list of lines. */
export function diff(before, after, label) {
  const lines = compare(before, after);
  const near = new Set();
  lines.forEach(([sign], at) => {
    if (sign === ' ') return;
    for (let other = at - AROUND; other <= at + AROUND; other += 1) near.add(other);
  });
  if (near.size === 0) return h('p', { class: 'empty' }, 'Nothing differs.');
  const added = lines.filter(([sign]) => sign === '+').length;
  const removed = lines.filter(([sign]) => sign === '-').length;
  const rows = [];
  let skipped = false;
  let [oldLine, newLine] = [0, 0];
  lines.forEach(([sign, line], at) => {
    if (sign !== '+') oldLine += 1;
    if (sign !== '-') newLine += 1;
    if (!near.has(at)) {
      skipped = true;
      return;
    }
    if (skipped) rows.push(h('div', { class: 'gap', 'aria-hidden': 'true' }, '⋯'));
    skipped = false;
    const word = { '-': 'removed: ', '+': 'added: ', ' ': '' }[sign];
    const kind = { '-': 'gone', '+': 'come', ' ': 'stay' }[sign];
    rows.push(h('div', { class: kind },
      h('span', { class: 'number', 'aria-hidden': 'true' }, String(sign === '-' ? oldLine : newLine)),
      h('span', { class: 'sign', 'aria-hidden': 'true' }, sign),
      h(sign === '-' ? 'del' : sign === '+' ? 'ins' : 'span', { class: 'code' }, word && h('span', { class: 'unseen' }, word), line)));
  });
  return h('figure', {},
    h('figcaption', { class: 'muted' }, `${label ?? 'Difference'}: ${added} added, ${removed} removed`),
    h('div', { class: 'diff', tabindex: '0', role: 'region', 'aria-label': label ?? 'Difference' }, rows));
}

/** A document as it is compared. */
export function pretty(document) {
  return JSON.stringify(document, null, 2);
}

// Sections with a panel, and tables whose rows stay where they are while their figures change.

import { h, keyed, text } from './dom.js';
import { badge, rebadge } from './talk.js';

/** A section with a title and everything else in a panel. `name` is what its ids begin with. */
export function section(name, title, ...children) {
  return h('section', { 'aria-labelledby': `${name}-title` }, h('h2', { id: `${name}-title` }, title), h('div', { class: 'panel' }, children));
}

/** A table whose rows stay. A cell is a text, or `[kind, words]` for a badge; a last empty cell takes what `use` makes. */
export function rows(caption, terms, kind) {
  const body = h('tbody', {});
  const node = h('table', { class: kind }, h('caption', {}, caption), h('thead', {}, h('tr', {}, terms.map(term => h('th', { scope: 'col' }, term)))), body);
  return {
    node,
    fill(items, key, cellsOf, use) {
      node.hidden = items.length === 0;
      keyed(body, items, key, item => {
        const cells = cellsOf(item).map((value, at) => {
          const cell = at === 0 ? h('th', { scope: 'row' }) : h('td', { 'data-term': terms[at] });
          if (Array.isArray(value)) cell.append(badge(...value));
          else if (value === null && use) cell.append(use(item));
          return cell;
        });
        return {
          node: h('tr', {}, cells),
          update: next => cellsOf(next).forEach((value, at) => {
            if (Array.isArray(value)) rebadge(cells[at].firstChild, ...value);
            else if (value !== null) text(cells[at], value);
          }),
        };
      });
    },
  };
}

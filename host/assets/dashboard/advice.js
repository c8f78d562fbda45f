// Advice: hints with numbers, each with its kind, and a way to what it is about. Kinds that this page has never heard of are told like the others.

import { attribute, h, keyed, text } from './dom.js';
import { data } from './api.js';
import { badge, button, rebadge } from './talk.js';
import { plural } from './format.js';

/** So many leave the routes in sight. */
const SHOWN_MAX = 3;

/** Where what a hint is about is looked at. */
const ABOUT = [
  ['plugin', name => `#/plugins/${encodeURIComponent(name)}`],
  ['upstream', () => '#/upstreams'],
  ['route', () => '#/routes'],
  ['limit', () => '#/protection'],
  ['address', () => '#/protection'],
];

/** A kind in words: `slow_plugin` is a slow plugin. */
function kindWords(kind) {
  return String(kind ?? 'hint').replaceAll(/[_-]+/g, ' ');
}

/** The section; not there at all while there is nothing to advise. */
export function advice() {
  const items = h('ul', { class: 'advice' });
  let all = false;
  const more = button('', { kind: 'small', press: () => { all = !all; self.update(); } });
  const self = {
    node: h('section', { 'aria-labelledby': 'advice-title', hidden: true }, h('h2', { id: 'advice-title' }, 'Advice'), items, h('div', {}, more)),
    update() {
      const hints = data('/advice')?.advice ?? [];
      self.node.hidden = hints.length === 0;
      more.hidden = hints.length <= SHOWN_MAX;
      text(more, all ? 'Show fewer' : `Show ${plural(hints.length - SHOWN_MAX, 'more hint')}`);
      attribute(more, 'aria-expanded', String(all));
      // Of one kind there may be several about the same.
      const seen = new Map();
      const named = hints.map(hint => {
        const key = [hint.kind, hint.route, hint.plugin, hint.upstream].join(' ');
        seen.set(key, (seen.get(key) ?? 0) + 1);
        return { hint, key: `${key} ${seen.get(key)}` };
      });
      keyed(items, all ? named : named.slice(0, SHOWN_MAX), one => one.key, first => {
        const mark = badge('off', '');
        const words = h('span', {});
        const about = ABOUT.map(([what, address]) => first.hint[what] && h('a', { href: address(first.hint[what]) }, `${what[0].toUpperCase()}${what.slice(1)} ${first.hint[what]}`)).filter(Boolean);
        return {
          node: h('li', {}, mark, h('div', {}, words, about.length > 0 && h('span', { class: 'about' }, about))),
          update({ hint }) {
            const warns = hint.severity === 'warning';
            rebadge(mark, warns ? 'warn' : 'off', kindWords(hint.kind));
            text(words, hint.text ?? '');
          },
        };
      });
    },
  };
  return self;
}

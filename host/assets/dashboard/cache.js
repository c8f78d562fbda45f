// The cache: how full, how often it answers, what it keeps of a URL, and purging.

import { attribute, h, keyed, text } from './dom.js';
import { call, data, known, refresh } from './api.js';
import { badge, button, confirm, empty, notice, problems } from './talk.js';
import { bytes, count, duration, percent } from './format.js';

const ANSWERED = ['hit', 'stale', 'revalidated'];

function ratio(outcomes) {
  const all = Object.entries(outcomes).filter(([name]) => name !== 'bypass').reduce((sum, [, number]) => sum + number, 0);
  const answered = ANSWERED.reduce((sum, name) => sum + (outcomes[name] ?? 0), 0);
  return all > 0 ? answered / all : undefined;
}

/** The view. */
export function cache() {
  const values = Object.fromEntries(['Hit ratio', 'Stored', 'Used', 'Largest response', 'Purges'].map(key => [key, h('dd', {}, '–')]));
  const fill = h('span', { class: 'fill c0' });
  const body = h('tbody', {});
  const none = h('p', { class: 'loading' }, 'Loading…');
  const terms = ['Hit ratio', 'Hits', 'Stale', 'Misses', 'Bypassed'];
  const table = h('table', { class: 'stack' }, h('caption', {}, 'Since the start of the gateway, by route'),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Route'), terms.map(term => h('th', { scope: 'col', class: 'number' }, term)))), body);

  function update() {
    const now = data('/cache');
    const error = known.get('/cache')?.error;
    if (!now) {
      if (error) text(none, error.message);
      return;
    }
    const routes = Object.entries(now.requests ?? {});
    const total = {};
    for (const [, outcomes] of routes) for (const [name, number] of Object.entries(outcomes)) total[name] = (total[name] ?? 0) + number;
    text(values['Hit ratio'], percent(ratio(total)));
    text(values.Stored, count(now.entries));
    text(values.Used, `${bytes(now.bytes)} of ${bytes(now.memory_bytes_max)}`);
    text(values['Largest response'], bytes(now.object_bytes_max));
    text(values.Purges, count(now.last_purge));
    fill.style.width = `${Math.min(100, (now.bytes / (now.memory_bytes_max || 1)) * 100).toFixed(1)}%`;
    none.hidden = routes.length > 0;
    text(none, 'No request has asked the cache yet.');
    table.hidden = routes.length === 0;
    keyed(body, routes, ([name]) => name, ([name]) => {
      const cells = terms.map(term => h('td', { class: 'number', 'data-term': term }));
      return {
        node: h('tr', {}, h('th', { scope: 'row' }, name), cells),
        update([, outcomes]) {
          const sum = names => count(names.reduce((all, one) => all + (outcomes[one] ?? 0), 0));
          [percent(ratio(outcomes)), sum(['hit', 'revalidated']), sum(['stale']), sum(['miss']), sum(['bypass'])].forEach((value, at) => text(cells[at], value));
        },
      };
    });
  }

  return {
    title: 'Cache',
    node: h('div', { class: 'view' },
      h('h1', { tabindex: '-1' }, 'Cache'),
      h('section', { 'aria-labelledby': 'use-title' }, h('h2', { id: 'use-title' }, 'Use'),
        h('div', { class: 'panel' }, h('dl', { class: 'pairs' }, Object.entries(values).map(([term, value]) => h('div', {}, h('dt', {}, term), value))),
          h('span', { class: 'gauge', 'aria-hidden': 'true' }, fill), none, table)),
      h('div', { class: 'columns' }, purging(), looking())),
    needs: { '/cache': 2000, '/routes': 10_000 },
    update,
  };
}

function purging() {
  const kinds = [['url', 'A URL', 'https://shop.example/a'], ['tag', 'A tag', 'product-17'], ['all', 'Everything', '']];
  const what = h('input', { type: 'text', id: 'purge-what', autocomplete: 'off', spellcheck: 'false', placeholder: kinds[0][2] });
  const label = h('label', { for: 'purge-what' }, 'URL');
  const field = h('div', { class: 'field' }, label, what);
  const soft = h('input', { type: 'checkbox', id: 'purge-soft' });
  const said = h('div', { 'aria-live': 'polite' });
  let kind = 'url';
  const choose = h('fieldset', {}, h('legend', {}, 'What'), h('div', { class: 'checks' }, kinds.map(([name, words, example], at) => h('label', { class: 'check' },
    h('input', {
      type: 'radio', name: 'purge-kind', value: name, checked: at === 0,
      onchange: () => {
        kind = name;
        field.hidden = name === 'all';
        text(label, name === 'tag' ? 'Tag' : 'URL');
        attribute(what, 'placeholder', example);
      },
    }), words))));
  const go = button('Purge', {
    kind: 'danger', need: 'operate',
    press: async () => {
      said.replaceChildren();
      const wanted = what.value.trim();
      if (kind !== 'all' && !wanted) {
        said.replaceChildren(h('p', { class: 'trouble' }, `Write the ${kind === 'tag' ? 'tag' : 'URL'} that is to be purged.`));
        what.focus();
        return;
      }
      const json = { ...(kind === 'all' ? { all: true } : { [kind]: wanted, count: true }), ...(soft.checked ? { soft: true } : {}) };
      const words = kind === 'all' ? 'everything' : `${kind} ${wanted}`;
      const answer = await confirm({
        title: `Purge ${words}?`,
        body: soft.checked ? 'It becomes stale, and is asked for again when it is wanted.' : 'It is gone, and is fetched again when it is wanted. This cannot be undone.',
        press: 'Purge', kind: 'danger', typed: kind === 'all' ? 'everything' : undefined,
        run: () => call('POST', '/cache/purge', { json }),
      });
      if (!answer) return;
      refresh('/cache');
      notice(`Purged ${words}${typeof answer.count === 'number' ? `: ${count(answer.count)} stored` : ''}${answer.instances === 'pending' ? '; other instances have not yet confirmed it' : ''}.`);
    },
  });
  return h('section', { 'aria-labelledby': 'purge-title' }, h('h2', { id: 'purge-title' }, 'Purge'),
    h('div', { class: 'panel' }, choose, field, h('label', { class: 'check' }, soft, 'Only make it stale'), h('div', { class: 'toolbar' }, go), said));
}

function looking() {
  const url = h('input', { type: 'text', id: 'look-url', autocomplete: 'off', spellcheck: 'false', placeholder: 'https://shop.example/a' });
  const found = h('div', { 'aria-live': 'polite' });
  const form = h('form', {
    class: 'panel',
    onsubmit: async event => {
      event.preventDefault();
      if (!url.value.trim()) return;
      try {
        const answer = await call('GET', `/cache/lookup?url=${encodeURIComponent(url.value.trim())}`);
        found.replaceChildren(...(answer.stored.length === 0 ? [empty('Nothing is stored for it.')] : answer.stored.map(stored)));
      } catch (error) {
        found.replaceChildren(problems(error));
      }
    },
  }, h('div', { class: 'field' }, h('label', { for: 'look-url' }, 'URL'), url), h('div', { class: 'toolbar' }, h('button', { type: 'submit', class: 'button' }, 'Look up')), found);
  return h('section', { 'aria-labelledby': 'look-title' }, h('h2', { id: 'look-title' }, 'Look up'), form);
}

function stored(one) {
  const pairs = [
    ['Route', one.route], ['Status', one.status], ['Age', duration(one.age_seconds)], ['Fresh for', duration(one.ttl_seconds)], ['Body', bytes(one.body_bytes)],
    ['Tags', (one.tags ?? []).join(', ') || 'none'], ['Vary', Object.entries(one.vary ?? {}).map(([name, value]) => `${name}: ${value}`).join(', ') || 'none'],
  ];
  return h('div', { class: 'stored' }, h('p', {}, badge(one.fresh ? 'ok' : 'warn', one.fresh ? 'fresh' : 'stale'), ' ', h('span', { class: 'mono' }, one.key)),
    h('dl', { class: 'pairs' }, pairs.map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value)))));
}

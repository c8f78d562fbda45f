// One plugin: what it is, what each hook costs, its last traps, its configuration, its versions.

import { attribute, h, keyed, text } from './dom.js';
import { call, data, known, refresh } from './api.js';
import { badge, button, confirm, empty, lasting, notice, problems } from './talk.js';
import { ago, bytes, count, list, ms, rate, short, when } from './format.js';
import { changed, revert, toggle } from './changes.js';
import { editor } from './editor.js';
import { pretty } from './diff.js';
import { settings } from './settings.js';
import { state, uploading } from './plugins.js';
import { FIGURES, inChain } from './figures.js';

/** What every plugin has; they decide about no request. */
const OWN = ['describe', 'init', 'destroy'];

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** The view of the plugin with that name. */
export function plugin(name) {
  const path = `/plugins/${encodeURIComponent(name)}`;
  const status = badge('off', 'loading');
  const summary = h('p', { class: 'muted' });
  const trouble = h('p', { class: 'trouble', role: 'alert' });
  const values = Object.fromEntries(['Version', 'Hash', 'Hooks', 'Routes', 'Grants', 'On failure', 'Memory', 'Traps'].map(key => [key, h('dd', {}, '–')]));
  const press = button('Switch off', { need: 'operate', press: () => data(path) && toggle(data(path)) });
  const [cost, traps, chosen, config, versions] = [costs(name), trapped(path), settings(name, path), configuration(name, path), history(name, path)];
  const remove = button('Remove from the chain', { kind: 'danger', need: 'admin', press: removal });

  async function removal() {
    const before = (data('/configuration/history')?.versions ?? []).find(one => one.current)
      ?? (await call('GET', '/configuration/history').catch(() => ({}))).versions?.find(one => one.current);
    const answer = await confirm({
      title: `Remove ${name}?`,
      body: 'Its entry in the chain and its file go. The file stays in the history.',
      press: 'Remove', kind: 'danger', typed: name,
      run: () => call('DELETE', path),
    });
    if (!answer) return;
    changed();
    location.hash = '#/plugins';
    notice(`${name} is removed.${lasting(answer)}`, before && {
      undoes: `bring ${name} back`,
      undo: async () => {
        await call('POST', '/configuration/rollback', { json: { id: before.id } });
        changed();
        notice(`${name} is back.`);
      },
    });
  }

  function update(which) {
    const now = data(path);
    const error = known.get(path)?.error;
    text(trouble, !now && error ? (error.status === 404 ? `There is no plugin ${name}.` : error.message) : (now?.problem ?? ''));
    cost.update();
    if (which === `${path}/traps` || which === '') traps.update();
    if (which === `${path}/versions` || which === '') versions.update();
    if (!now) return;
    state(status, now);
    text(summary, now.summary ?? '');
    text(press, now.enabled ? 'Switch off' : 'Switch on');
    attribute(press, 'hidden', !inChain(now));
    text(values.Version, now.version ?? '–');
    text(values.Hash, short(now.hash));
    attribute(values.Hash, 'title', now.hash);
    text(values.Hooks, list((now.hooks ?? []).filter(hook => !OWN.includes(hook))) || 'none');
    text(values.Routes, now.routes ? list(now.routes) || 'none' : 'every route');
    text(values.Grants, list(now.grants ?? []) || 'none');
    text(values['On failure'], now.on_failure ?? '–');
    text(values.Memory, bytes(now.memory_bytes));
    text(values.Traps, count(now.traps ?? 0));
    chosen.update(now);
    config.update(now);
  }

  return {
    title: name,
    node: h('div', { class: 'view' },
      h('div', {},
        h('p', { class: 'crumb' }, h('a', { href: '#/plugins' }, '← Plugins')),
        h('div', { class: 'title' }, h('h1', { tabindex: '-1' }, name), status, h('span', { class: 'push' }, press)), summary, trouble),
      h('section', { 'aria-label': 'What it is' }, h('dl', { class: 'panel pairs' }, Object.entries(values).map(([term, value]) => h('div', {}, h('dt', {}, term), value)))),
      cost.node, traps.node, chosen.node, config.node, versions.node,
      h('section', { 'aria-labelledby': 'upload-title' }, h('h2', { id: 'upload-title' }, 'Upload a new version'), uploading(name)),
      h('section', { 'aria-labelledby': 'remove-title' }, h('h2', { id: 'remove-title' }, 'Remove'), h('div', {}, remove))),
    needs: { [path]: 2000, [`${path}/traps`]: 3000, [`${path}/versions`]: 10_000, '/routes': 10_000, '/configuration/history': 15_000 },
    update,
    leave: () => !(config.edited() || chosen.edited()) || window.confirm('This plugin was edited and the change not applied. Leave?'),
  };
}

function costs(name) {
  const body = h('tbody', {});
  const none = empty('It has not been called in the last seconds.');
  const terms = ['Calls', 'Mean', 'Fuel/call', 'Failures'];
  const table = h('table', { class: 'stack' }, h('caption', {}, 'Cost per hook, in the last seconds'),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Hook'), terms.map(term => h('th', { scope: 'col', class: 'number' }, term)))), body);
  return {
    node: h('section', { 'aria-labelledby': 'cost-title' }, h('h2', { id: 'cost-title' }, 'Cost'), h('div', { class: 'panel' }, none, table)),
    update() {
      const hooks = (data(FIGURES)?.plugins ?? []).filter(one => one.plugin === name);
      none.hidden = hooks.length > 0;
      table.hidden = hooks.length === 0;
      keyed(body, hooks, one => one.hook, one => {
        const cells = terms.map(term => h('td', { class: 'number', 'data-term': term }));
        return {
          node: h('tr', {}, h('th', { scope: 'row' }, one.hook), cells),
          update(next) {
            [rate(next.calls_per_second), ms((next.mean_us ?? 0) / 1000), count(next.fuel_per_call), rate(next.failures_per_second ?? 0)].forEach((value, at) => text(cells[at], value));
          },
        };
      });
    },
  };
}

/** What went wrong, shortly: of a trap with its backtrace the last line says it. */
function brief(what) {
  const lines = String(what ?? '').trim().split('\n');
  if (lines.length === 1) return lines[0];
  const last = /(wasm trap: .*|[^:]+)$/.exec(lines.at(-1).trim())?.[1] ?? lines[0];
  const first = lines[0].replace(/:? error while executing at wasm backtrace:?$/, '');
  return `${first}: ${last.replace(/^wasm trap: /, '')}`;
}

function trapped(path) {
  const items = h('ol', { class: 'traps' });
  const none = empty('Loading…');
  return {
    node: h('section', { 'aria-labelledby': 'traps-title' }, h('h2', { id: 'traps-title' }, 'Last failed calls'), h('div', { class: 'panel' }, none, items)),
    update() {
      const all = data(`${path}/traps`)?.traps;
      if (!all) return;
      none.hidden = all.length > 0;
      text(none, 'No call has failed.');
      // The same again and again is told once, with how often.
      const groups = new Map();
      for (const one of all) {
        const key = [one.kind, one.hook, one.route, one.what].join(' ');
        if (!groups.has(key)) groups.set(key, { ...one, key, times: 0 });
        groups.get(key).times += 1;
      }
      keyed(items, [...groups.values()].map(one => ({ ...one, of: all.length })), one => one.key, one => {
        const [since, times, request] = [h('span', {}), h('span', {}), h('span', { class: 'mono' })];
        const short = brief(one.what);
        return {
          node: h('li', {}, h('p', {}, badge('bad', one.kind ?? 'failed'), ' ', h('span', { class: 'mono' }, short)),
            h('p', { class: 'muted small' }, times, `in ${one.hook}${one.route ? ` on route ${one.route}` : ''}, last `, since, one.request_id && ', request ', request),
            short !== one.what && h('details', {}, h('summary', { class: 'small' }, 'Backtrace'), h('pre', { class: 'schema', tabindex: '0' }, one.what))),
          update(now) {
            text(since, ago(now.at));
            attribute(since, 'title', when(now.at));
            text(times, now.times > 1 ? `${now.times} of the last ${now.of}, ` : '');
            text(request, now.request_id ?? '');
          },
        };
      });
    },
  };
}

function configuration(name, path) {
  let shown = null;
  const edit = editor({ label: 'Configuration', rows: 12, changed: () => { note.textContent = edited() ? 'Edited, not applied.' : ''; } });
  const note = h('span', { class: 'muted', 'aria-live': 'polite' });
  const schema = h('pre', { class: 'schema', tabindex: '0' });
  const about = h('details', {}, h('summary', {}, 'What the plugin takes (JSON Schema)'), schema);
  const edited = () => shown !== null && edit.text !== shown;
  const apply = button('Apply', { kind: 'primary', need: 'admin', press: submit });
  const trouble = h('div', {});

  async function submit() {
    trouble.replaceChildren();
    const value = edit.read();
    if (value === undefined) return;
    const before = shown === null ? null : JSON.parse(shown);
    const put = async config => {
      const answer = await call('PATCH', path, { json: { config } });
      shown = pretty(config);
      changed(path);
      return answer;
    };
    try {
      const answer = await confirm({
        title: `Apply the configuration of ${name}?`,
        body: 'New requests meet the plugin with it. If the plugin does not take it, nothing changes.',
        press: 'Apply',
        run: async () => {
          try {
            return await put(value);
          } catch (error) {
            if (error.problems?.length) {
              const path = error.problems.map(one => /^\$\.plugins\.chain\[\d+\]\.config/.exec(one.path ?? '')?.[0]).find(Boolean);
              edit.problems(error.problems, path ?? '$');
            }
            throw error;
          }
        },
      });
      if (!answer) return;
      edit.text = shown;
      note.textContent = '';
      notice(`The configuration of ${name} is applied (generation ${answer.generation ?? '–'}).${lasting(answer)}`, {
        undoes: `take the earlier configuration of ${name}`,
        undo: async () => {
          await put(before);
          edit.text = shown;
          notice(`${name} has its earlier configuration.`);
        },
      });
    } catch (error) {
      trouble.replaceChildren(problems(error));
    }
  }

  return {
    node: h('section', { 'aria-labelledby': 'config-title' }, h('h2', { id: 'config-title' }, 'Configuration'),
      h('div', { class: 'panel' }, edit.node, trouble, h('div', { class: 'toolbar' }, apply, button('Start over', { press: () => { if (shown !== null) edit.text = shown; note.textContent = ''; } }), note), about)),
    edited,
    update(now) {
      const next = pretty(now.config ?? null);
      // What somebody is writing is not taken away.
      if (shown === null || (!edited() && !same(next, shown))) {
        shown = next;
        edit.text = next;
      }
      about.hidden = !now.config_schema;
      if (now.config_schema) text(schema, pretty(now.config_schema));
    },
  };
}

function history(name, path) {
  const body = h('tbody', {});
  return {
    node: h('section', { 'aria-labelledby': 'versions-title' }, h('h2', { id: 'versions-title' }, 'Versions'),
      h('div', { class: 'panel' }, h('table', { class: 'stack' }, h('caption', {}, 'Components that were kept, newest first'),
        h('thead', {}, h('tr', {}, ['Version', 'Hash', 'Size', 'Stored', 'Use'].map(term => h('th', { scope: 'col' }, term)))), body))),
    update() {
      keyed(body, data(`${path}/versions`)?.versions ?? [], one => `${one.hash}`, version => {
        const current = badge('ok', 'current');
        let now = version;
        const back = button('Roll back', {
          kind: 'small', need: 'admin', name: `Roll back to ${version.version ?? short(version.hash)}`,
          press: async () => {
            await confirm({
              title: `Take ${name} ${now.version ?? short(now.hash)}?`,
              body: `Stored ${when(now.stored_at)}, hash ${short(now.hash)}. Calls under way finish on the version of today, which stays in the history.`,
              press: 'Roll back', run: () => revert(name, now),
            });
            refresh(`${path}/versions`);
          },
        });
        const stored = h('td', { 'data-term': 'Stored', title: when(version.stored_at) });
        return {
          node: h('tr', {}, h('th', { scope: 'row' }, version.version ?? '–'), h('td', { class: 'mono', 'data-term': 'Hash', title: version.hash }, short(version.hash)), h('td', { 'data-term': 'Size' }, bytes(version.bytes)), stored, h('td', { 'data-term': 'Use' }, h('span', {}, current, back))),
          update(next) {
            now = next;
            text(stored, ago(next.stored_at));
            current.hidden = !next.current;
            back.hidden = next.current;
          },
        };
      });
    },
  };
}

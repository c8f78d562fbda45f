// The chain: every plugin with its version, state and cost, in the order in which requests meet them. The order is changed here, and new
// components come in here.

import { attribute, h, keyed, text } from './dom.js';
import { call, data, known, refresh } from './api.js';
import { badge, button, confirm, forbidden, lasting, notice, rebadge } from './talk.js';
import { bytes, count, list, ms, rate, short } from './format.js';
import { changed, toggle, upload } from './changes.js';
import { reordering } from './order.js';
import { FIGURES, catalogue, inChain } from './figures.js';

const KIND = { active: 'ok', disabled: 'off', quarantined: 'bad', failed: 'bad' };

/** The figures of a plugin over all its hooks. */
export function sums(name) {
  const hooks = (data(FIGURES)?.plugins ?? []).filter(one => one.plugin === name);
  const calls = hooks.reduce((sum, one) => sum + one.calls_per_second, 0);
  const weighed = key => (calls > 0 ? hooks.reduce((sum, one) => sum + one.calls_per_second * (one[key] ?? 0), 0) / calls : undefined);
  return { calls, mean_us: weighed('mean_us'), fuel: weighed('fuel_per_call'), failures: hooks.reduce((sum, one) => sum + (one.failures_per_second ?? 0), 0) };
}

/** The state of a plugin as a badge. */
export function state(node, plugin) {
  rebadge(node, KIND[plugin.state] ?? 'off', plugin.state);
}

/** The view. */
export function plugins() {
  const chain = h('ol', { class: 'plugins' });
  const aside = h('ul', { class: 'plugins' });
  const nothing = h('p', { class: 'loading' }, 'Loading…');
  const asideSection = h('section', { 'aria-labelledby': 'aside-title', hidden: true },
    h('h2', { id: 'aside-title' }, 'Not in the chain'), aside);
  const words = h('p', {});
  const apply = button('Apply order', { kind: 'primary', need: 'admin', press: applyOrder });
  const pending = h('div', { class: 'pending', hidden: true }, words, apply, button('Drop', { press: () => order.drop() }));
  const order = reordering(chain, () => update(''));
  let tag = null;

  async function applyOrder() {
    const [before, wanted] = [order.current(), order.wanted()];
    if (!wanted) return;
    const put = (names, match) => call('PUT', '/plugins/order', { json: { order: names }, match });
    const moved = wanted.filter((name, at) => before[at] !== name);
    const answer = await confirm({
      title: 'Apply this order?',
      body: [
        h('ol', { class: 'preview' }, wanted.map((name, at) => {
          const was = before.indexOf(name);
          return h('li', { class: was === at ? null : 'moved' }, name, was === at ? null : h('span', { class: 'muted' }, ` was ${was + 1}`));
        })),
        `${list(moved)} ${moved.length === 1 ? 'changes its' : 'change their'} place. Hooks on responses run the chain backwards.`,
      ],
      press: 'Apply order',
      run: async () => {
        try {
          return await put(wanted, tag);
        } catch (error) {
          if (error.status === 412) {
            tag = null;
            refresh('/plugins');
          }
          throw error.status === 412 ? new Error('Somebody has changed the configuration meanwhile. Look at the chain as it is now, then apply again.') : error;
        }
      },
    });
    if (!answer) return;
    order.drop();
    changed();
    notice(`The order is applied (generation ${answer.generation ?? '–'}).${lasting(answer)}`, {
      undoes: 'take the order before',
      undo: async () => {
        await put(before);
        changed();
        notice('The order is what it was.');
      },
    });
  }

  function update() {
    const answer = data('/plugins');
    if (!answer) {
      const error = known.get('/plugins')?.error;
      if (error) text(nothing, error.message);
      return;
    }
    const all = catalogue();
    const listed = all.filter(inChain);
    order.set(listed.map(plugin => plugin.plugin));
    if (!order.wanted() || !tag) tag = answer.tag;
    const names = order.order();
    const rows = names.map((name, at) => ({ plugin: listed.find(one => one.plugin === name), at, last: at === names.length - 1, order })).filter(row => row.plugin);
    keyed(chain, rows, item => item.plugin.plugin, row);
    nothing.hidden = listed.length > 0;
    text(nothing, 'The chain is empty. Upload a component below.');
    const others = all.filter(plugin => !inChain(plugin));
    asideSection.hidden = others.length === 0;
    keyed(aside, others.map(plugin => ({ plugin })), item => item.plugin.plugin, row);
    pending.hidden = !order.wanted();
    text(words, order.wanted() ? 'The order differs from the gateway’s.' : '');
  }

  return {
    title: 'Plugins',
    node: h('div', { class: 'view' },
      h('h1', { tabindex: '-1' }, 'Plugins'),
      h('section', { 'aria-labelledby': 'chain-title' },
        h('div', { class: 'title' }, h('h2', { id: 'chain-title' }, 'Chain'),
          h('p', { class: 'muted', id: 'how' }, 'Requests meet them from top to bottom. Drag a row, press ↑ or ↓, or use Alt with the arrow keys on it.')),
        pending, nothing, chain),
      asideSection,
      h('section', { 'aria-labelledby': 'upload-title' }, h('h2', { id: 'upload-title' }, 'Upload a component'), uploading())),
    needs: { '/plugins': 2000, '/routes': 5000 },
    update,
  };
}

function row({ plugin: first, order }) {
  let current = first;
  const name = first.plugin;
  const up = order && button('↑', { kind: 'small square', need: 'admin', name: `Move ${name} up`, press: () => order.move(name, -1) });
  const down = order && button('↓', { kind: 'small square', need: 'admin', name: `Move ${name} down`, press: () => order.move(name, 1) });
  const place = h('span', { class: 'place' });
  const version = h('span', { class: 'muted' });
  const status = badge('off', '');
  const summary = h('p', { class: 'muted summary' });
  const trouble = h('p', { class: 'trouble' });
  const values = Object.fromEntries(['calls', 'mean', 'fuel', 'memory', 'traps'].map(key => [key, h('dd', {}, '–')]));
  const press = button('', { need: 'operate', kind: 'small', press: () => toggle(current) });
  const node = h('li', { class: `plugin${order ? '' : ' aside'}`, 'data-name': name, draggable: order && !forbidden('admin') ? 'true' : null },
    order && h('div', { class: 'handle' }, h('span', { class: 'grip', 'aria-hidden': 'true' }, '⠿'), place, up, down),
    h('div', { class: 'who' },
      h('h3', {}, h('a', { href: `#/plugins/${encodeURIComponent(name)}` }, name)), version, status, summary, trouble),
    h('dl', { class: 'numbers' }, [['Calls', 'calls'], ['Mean', 'mean'], ['Fuel/call', 'fuel'], ['Memory', 'memory'], ['Traps', 'traps']]
      .map(([term, key]) => h('div', {}, h('dt', {}, term), values[key]))),
    h('div', { class: 'press' }, press));
  return {
    node,
    update({ plugin, at, last }) {
      current = plugin;
      if (order) {
        text(place, at + 1);
        // Beside what the role allows: the ends of the list.
        attribute(up, 'data-end', at === 0);
        attribute(down, 'data-end', last);
      }
      text(version, plugin.version ?? short(plugin.hash));
      state(status, plugin);
      text(summary, plugin.summary ?? '');
      text(trouble, plugin.problem ?? '');
      const figures = sums(name);
      text(values.calls, rate(figures.calls));
      text(values.mean, ms(figures.mean_us === undefined ? undefined : figures.mean_us / 1000));
      text(values.fuel, count(figures.fuel));
      text(values.memory, bytes(plugin.memory_bytes));
      text(values.traps, count(plugin.traps ?? 0));
      attribute(values.traps, 'class', plugin.traps > 0 ? 'alarm' : null);
      text(press, plugin.enabled ? 'Switch off' : 'Switch on');
      attribute(press, 'aria-label', `Switch ${plugin.enabled ? 'off' : 'on'} ${name}`);
      attribute(press, 'hidden', !inChain(plugin));
      attribute(node, 'class', `plugin${order ? '' : ' aside'}${plugin.enabled || !inChain(plugin) ? '' : ' off'}`);
    },
  };
}

/** A form that takes a component: chosen, or dropped on it. `fixed` is the plugin it is for; without it the file's name says. */
export function uploading(fixed) {
  const file = h('input', { type: 'file', accept: '.wasm,application/wasm', id: 'upload-file' });
  const name = h('input', { type: 'text', id: 'upload-name', autocomplete: 'off', spellcheck: 'false', value: fixed ?? '', readonly: Boolean(fixed), list: 'upload-names' });
  const names = h('datalist', { id: 'upload-names' });
  const said = h('div', { 'aria-live': 'polite' });
  const what = h('p', { class: 'muted' }, 'Or drop a .wasm file here.');
  let chosen = null;
  const send = button('Upload', { kind: 'primary', need: 'admin', press: submit, id: 'upload-send' });

  function choose(picked) {
    chosen = picked ?? null;
    said.replaceChildren();
    text(what, chosen ? `${chosen.name}, ${bytes(chosen.size)}` : 'Or drop a .wasm file here.');
    if (chosen && !fixed) name.value = chosen.name.replace(/\.wasm$/i, '').replaceAll('_', '-');
  }

  async function submit() {
    if (!chosen) {
      said.replaceChildren(h('p', { class: 'trouble' }, 'Choose a .wasm file first.'));
      file.focus();
      return;
    }
    const plugin = name.value.trim();
    if (!plugin) {
      said.replaceChildren(h('p', { class: 'trouble' }, 'Write the name of the plugin.'));
      name.focus();
      return;
    }
    const there = (data('/plugins')?.plugins ?? []).find(one => one.plugin === plugin);
    const took = await confirm({
      title: there ? `Replace ${plugin}?` : `Add ${plugin}?`,
      body: [
        `${chosen.name}, ${bytes(chosen.size)}. The gateway compiles and tries it aside; if it does not load, nothing changes.`,
        there ? 'Calls under way finish on the old version, which stays in the history.' : 'It comes last in the chain.',
      ],
      press: there ? 'Replace' : 'Add',
      run: () => upload(plugin, chosen),
    });
    if (!took) return;
    said.replaceChildren(h('p', {}, badge('ok', 'Taken over'), ` ${plugin} ${took.version ?? ''}, hash ${short(took.hash)}.`));
    file.value = '';
    chosen = null;
    text(what, 'Or drop a .wasm file here.');
  }

  file.addEventListener('change', () => choose(file.files[0]));
  const node = h('div', { class: 'panel drop' },
    h('div', { class: 'fields' },
      h('div', { class: 'field grow' }, h('label', { for: 'upload-file' }, 'Component (.wasm)'), file),
      h('div', { class: 'field' }, h('label', { for: 'upload-name' }, 'Plugin'), name, names), send),
    what, said);
  node.addEventListener('dragover', event => {
    if (![...event.dataTransfer.items].some(item => item.kind === 'file')) return;
    event.preventDefault();
    node.classList.add('over');
  });
  node.addEventListener('dragleave', () => node.classList.remove('over'));
  node.addEventListener('drop', event => {
    node.classList.remove('over');
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    choose(event.dataTransfer.files[0]);
  });
  name.addEventListener('focus', () => keyed(names, data('/plugins')?.plugins ?? [], one => one.plugin, one => ({ node: h('option', { value: one.plugin }) })));
  return node;
}

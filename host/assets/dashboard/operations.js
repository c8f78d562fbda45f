// What is done now and then: the mode, the log level, alerts, certificates, draining; and who did what.

import { attribute, h, text } from './dom.js';
import { call, data, refresh } from './api.js';
import { button, confirm, empty, lasting, notice } from './talk.js';
import { ago, plural, when } from './format.js';
import { modeWords } from './head.js';
import { rows, section } from './table.js';

const MODES = [
  ['normal', 'Everything as configured.'],
  ['serve_stale', 'What the cache has is served even if it is stale.'],
  ['cache_only', 'Only the cache answers; upstreams are not asked.'],
  ['read_only', 'Only GET, HEAD and OPTIONS pass.'],
  ['maintenance', 'Every request is answered with 503.'],
];
const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

/** The view. */
export function operations() {
  const parts = [mode(), log(), alerts(), certificates(), audit(), drain()];
  return {
    title: 'Operations',
    node: h('div', { class: 'view' }, h('h1', { tabindex: '-1' }, 'Operations'),
      h('div', { class: 'columns' }, parts[0].node, parts[1].node), parts.slice(2).map(part => part.node)),
    needs: { '/mode': 3000, '/log': 5000, '/certificates': 30_000, '/audit?limit=100': 4000 },
    update: () => parts.forEach(part => part.update?.()),
  };
}

function mode() {
  const now = h('p', {});
  const radios = MODES.map(([name, words]) => ({ name, input: h('input', { type: 'radio', name: 'mode', value: name, onchange: () => { touched = true; } }), words }));
  let touched = false;
  const put = async wanted => {
    const answer = await call('PUT', '/mode', { json: { mode: wanted } });
    refresh('/mode', '/state', '/health', '/audit?limit=100');
    return answer;
  };
  const set = button('Set mode', {
    kind: 'primary', need: 'operate',
    press: async () => {
      const before = data('/mode')?.mode;
      const wanted = radios.find(one => one.input.checked)?.name;
      if (!wanted || wanted === before) return;
      const answer = await confirm({
        title: `Change the mode to ${modeWords(wanted)}?`,
        body: `${MODES.find(([name]) => name === wanted)[1]} It holds for every request from now on.`,
        press: 'Set mode', kind: wanted === 'maintenance' ? 'danger' : 'primary', typed: wanted === 'maintenance' ? 'maintenance' : undefined,
        run: () => put(wanted),
      });
      if (!answer) return;
      touched = false;
      notice(`The mode is ${modeWords(wanted)}.${lasting(answer)}`, { undoes: `mode ${modeWords(before)} again`, undo: async () => { await put(before); notice(`The mode is ${modeWords(before)} again.`); } });
    },
  });
  return {
    node: section('mode', 'Mode', now,
      h('fieldset', {}, h('legend', { class: 'unseen' }, 'Mode'), h('div', { class: 'options' }, radios.map(one => h('label', { class: 'check' }, one.input, h('span', {}, h('strong', {}, modeWords(one.name)), h('span', { class: 'muted' }, ` ${one.words}`)))))),
      h('div', { class: 'toolbar' }, set)),
    update() {
      const answer = data('/mode');
      if (!answer) return;
      text(now, `It is ${modeWords(answer.mode)}${answer.since ? ` since ${when(answer.since)}` : ''}${answer.by && answer.since ? `, by ${answer.by}` : ''}.`);
      const serving = radios.find(one => one.name === answer.mode);
      if (!touched && serving && !serving.input.checked) serving.input.checked = true;
    },
  };
}

function log() {
  const field = h('input', { type: 'text', id: 'log-level', list: 'log-levels', autocomplete: 'off', spellcheck: 'false', oninput: () => { touched = true; } });
  let touched = false;
  const put = async filter => {
    const answer = await call('PUT', '/log', { json: { filter } });
    refresh('/log', '/audit?limit=100');
    return answer;
  };
  const set = button('Set log level', {
    need: 'operate',
    press: async () => {
      const before = data('/log')?.filter;
      const wanted = field.value.trim();
      if (!wanted || wanted === before) return;
      const answer = await confirm({ title: `Log at ${wanted}?`, body: `It is ${before} now.${/debug|trace/.test(wanted) ? ' That is a lot of lines; set it back when you have seen enough.' : ''}`, press: 'Set log level', run: () => put(wanted) });
      if (!answer) return;
      touched = false;
      notice(`The log level is ${wanted}.${lasting(answer)}`, { undoes: `level ${before} again`, undo: async () => { await put(before); notice(`The log level is ${before} again.`); } });
    },
  });
  return {
    node: section('log', 'Log level', h('p', { class: 'muted', id: 'log-how' }, 'A level, or levels by part, such as info,portcullis::upstream=debug.'),
      h('div', { class: 'fields' }, h('div', { class: 'field grow' }, h('label', { for: 'log-level' }, 'Level'), field, h('datalist', { id: 'log-levels' }, LEVELS.map(level => h('option', { value: level })))), set)),
    update() {
      const answer = data('/log');
      if (answer && !touched && field.value !== answer.filter) field.value = answer.filter ?? '';
    },
  };
}

function alerts() {
  const none = empty('No alerts are configured.');
  const table = rows('Alerts and where they stand', ['Alert', 'State', 'Value', 'Threshold', 'Since', 'Meaning'], 'stack');
  return {
    node: section('alerts', 'Alerts', none, table.node),
    update() {
      const all = data('/alerts')?.alerts ?? [];
      none.hidden = all.length > 0;
      table.fill(all, one => one.alert, one => [one.alert, [{ firing: 'bad', pending: 'warn' }[one.state] ?? 'ok', one.state], number(one.value), number(one.threshold), one.since ? ago(one.since) : '–', one.summary ?? '']);
    },
  };
}

const number = value => (typeof value === 'number' ? String(Number(value.toPrecision(4))) : '–');

function certificates() {
  const none = empty('No listener has certificates.');
  const table = rows('Certificates in use', ['Names', 'Listener', 'Ends', 'On', 'Issuer'], 'stack');
  return {
    node: section('certificates', 'Certificates', none, table.node),
    update() {
      const all = data('/certificates')?.certificates ?? [];
      none.hidden = all.length > 0;
      table.fill(all, one => `${one.listener} ${one.names} ${one.not_after}`, one => [(one.names ?? []).join(', '), one.listener ?? '–', [one.days_left < 7 ? 'bad' : one.days_left < 21 ? 'warn' : 'ok', one.days_left < 0 ? 'ended' : `in ${plural(one.days_left, 'day')}`], when(one.not_after), one.issuer ?? '–']);
    },
  };
}

function audit() {
  const none = empty('Nothing was changed yet.');
  const find = h('input', { type: 'search', id: 'audit-find', placeholder: 'Find in the log', oninput: () => self.update() });
  const table = rows('Changes and refused attempts, newest first', ['When', 'Who', 'What', 'Of', 'Outcome', 'Detail'], 'stack');
  const self = {
    node: section('audit', 'Audit log', h('p', {}, h('label', { for: 'audit-find', class: 'unseen' }, 'Find in the log'), find), none, h('div', { class: 'log', tabindex: '0', role: 'region', 'aria-label': 'Entries of the audit log' }, table.node)),
    update() {
      const wanted = find.value.trim().toLowerCase();
      const all = (data('/audit?limit=100')?.entries ?? []).filter(one => !wanted || JSON.stringify(one).toLowerCase().includes(wanted));
      none.hidden = all.length > 0;
      text(none, wanted ? 'Nothing of that is in the last 100 entries.' : 'Nothing was changed yet.');
      const seen = new Map();
      const keys = all.map(one => {
        const key = `${one.at} ${one.actor} ${one.action} ${one.target}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
        return `${key} ${seen.get(key)}`;
      });
      const well = outcome => /^(ok|done|success|applied|allowed|2\d\d)/i.test(String(outcome));
      table.fill(all.map((one, at) => ({ ...one, key: keys[at] })), one => one.key, one => [when(one.at), `${one.actor ?? '–'}${one.role ? ` (${one.role})` : ''}`, one.action ?? '–', one.target ?? '–', [well(one.outcome) ? 'ok' : 'warn', String(one.outcome ?? '–')], detail(one.detail)]);
    },
  };
  return self;
}

/** What an entry says of a change, shortly: which parts changed, otherwise what was sent. */
function detail(value) {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'object') return String(value);
  const parts = [];
  if (value.why) parts.push(value.why);
  if (value.generation) parts.push(`generation ${value.generation}`);
  if (Array.isArray(value.changes)) parts.push(...value.changes.slice(0, 4).map(change => change.path ?? String(change)), ...(value.changes.length > 4 ? ['…'] : []));
  const words = parts.length > 0 ? parts.join(', ') : JSON.stringify(value);
  return words.length > 200 ? `${words.slice(0, 197)}…` : words;
}

function drain() {
  const words = h('p', { class: 'muted' }, 'The gateway takes no new connections, finishes what is under way, and ends. This cannot be undone: start it again afterwards.');
  const go = button('Drain the gateway', {
    kind: 'danger', need: 'admin',
    press: async () => {
      const answer = await confirm({ title: 'Drain the gateway?', body: 'It stops serving. This cannot be undone from here: the dashboard goes away with it.', press: 'Drain', kind: 'danger', typed: 'drain', run: () => call('POST', '/drain', { json: {} }) });
      if (answer) notice('The gateway is draining.', { kind: 'warning' });
    },
  });
  return { node: section('drain', 'Drain', words, h('div', {}, go)), update: () => attribute(go, 'hidden', data('/state')?.draining) };
}

// What the chain says of a plugin beside its configuration: on which routes it runs, what its failure means, what a call may spend.

import { attribute, h, keyed, text } from './dom.js';
import { call, data } from './api.js';
import { button, confirm, lasting, notice } from './talk.js';
import { bytes, count, list } from './format.js';
import { changed } from './changes.js';

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const sorted = names => (names ? [...names].sort() : null);

/** A limit's value with what it means for a reader. */
function shown(name, value) {
  if (typeof value !== 'number') return String(value);
  if (/bytes/.test(name)) return `${count(value)} (${bytes(value)})`;
  return count(value);
}

/** The words of a JSON Schema's description: the first sentence is enough beside a field. */
function words(description) {
  return (description ?? '').split('. ')[0].replaceAll('`', '').replace(/\.$/, '');
}

/** The section of the plugin with that name; `path` is where it is asked for. */
export function settings(name, path) {
  let touched = false;
  let base = null; // What the form started from: `{ routes, on_failure, limits }`.
  const touch = () => {
    touched = true;
    mark();
  };
  const note = h('span', { class: 'muted', 'aria-live': 'polite' });
  const every = h('input', { type: 'radio', name: 'runs-on', value: 'every', onchange: touch });
  const some = h('input', { type: 'radio', name: 'runs-on', value: 'some', onchange: touch });
  const boxes = h('div', { class: 'checks inner' });
  const hint = h('p', { class: 'muted small' }, 'With a selection its pre-route hook is not called: the route is not yet known there.');
  const policies = [['deny', 'Refuse the request (500). Right for what guards something.'], ['skip', 'Go on without it. Right for what only adds something.']]
    .map(([value, meaning]) => ({ value, meaning, input: h('input', { type: 'radio', name: 'on-failure', value, onchange: touch }) }));
  const limits = h('div', { class: 'limits' });
  const trouble = h('div', {});
  const fields = new Map(); // By the limit's name.
  const apply = button('Apply', { kind: 'primary', need: 'admin', press: submit });

  function read() {
    const wanted = { routes: every.checked ? null : [...boxes.querySelectorAll('input:checked')].map(box => box.value), on_failure: policies.find(one => one.input.checked)?.value ?? 'deny', limits: {} };
    for (const [limit, field] of fields) if (field.value.trim() !== '') wanted.limits[limit] = typeof field.kept === 'string' ? field.kept : Number(field.value);
    return wanted;
  }

  /** What differs from how it stands, as the gateway takes it: what is not written any more is null. */
  function edits(wanted) {
    const edit = {};
    if (!same(sorted(wanted.routes), sorted(base.routes))) edit.routes = wanted.routes;
    if (wanted.on_failure !== base.on_failure) edit.on_failure = wanted.on_failure;
    const written = Object.fromEntries(Object.entries(base.limits));
    if (!same(Object.entries(wanted.limits).sort(), Object.entries(written).sort())) edit.limits = Object.keys(wanted.limits).length > 0 ? wanted.limits : null;
    return edit;
  }

  function mark() {
    boxes.hidden = hint.hidden = !some.checked;
    text(note, base && Object.keys(edits(read())).length > 0 ? 'Edited, not applied.' : '');
  }

  function show() {
    touched = false;
    every.checked = !base.routes;
    some.checked = Boolean(base.routes);
    for (const box of boxes.querySelectorAll('input')) box.checked = (base.routes ?? []).includes(box.value);
    for (const policy of policies) policy.input.checked = policy.value === base.on_failure;
    for (const [limit, field] of fields) {
      field.kept = base.limits[limit];
      // A variable of the environment is changed where it is written, in the document.
      attribute(field.input, 'type', typeof field.kept === 'string' ? 'text' : 'number');
      attribute(field.input, 'readonly', typeof field.kept === 'string');
      field.input.value = field.kept === undefined ? '' : String(field.kept);
    }
    trouble.replaceChildren();
    mark();
  }

  async function put(edit) {
    const answer = await call('PATCH', path, { json: edit });
    changed(path);
    return answer;
  }

  async function submit() {
    if (!base) return;
    const wrong = [...fields.values()].find(field => !field.input.checkValidity());
    if (wrong) {
      trouble.replaceChildren(h('p', { class: 'trouble', role: 'alert' }, `${wrong.label}: ${wrong.input.validationMessage}`));
      wrong.input.focus();
      return;
    }
    trouble.replaceChildren();
    const wanted = read();
    const edit = edits(wanted);
    if (Object.keys(edit).length === 0) {
      notice('Nothing differs from how it is.', { kind: 'warning' });
      return;
    }
    if (edit.routes && edit.routes.length === 0) {
      trouble.replaceChildren(h('p', { class: 'trouble', role: 'alert' }, 'Choose a route, or switch the plugin off.'));
      boxes.querySelector('input')?.focus();
      return;
    }
    const before = base;
    const back = { ...('routes' in edit && { routes: before.routes }), ...('on_failure' in edit && { on_failure: before.on_failure }), ...('limits' in edit && { limits: Object.keys(before.limits).length > 0 ? before.limits : null }) };
    const answer = await confirm({ title: `Change ${name}?`, body: [h('ul', { class: 'points' }, told(before, wanted, edit).map(line => h('li', {}, line))), 'New requests meet it like this. If the gateway does not take it, nothing changes.'], press: 'Apply', run: () => put(edit) });
    if (!answer) return;
    base = wanted;
    show();
    notice(`${name} is changed (generation ${answer.generation ?? '–'}).${lasting(answer)}`, {
      undoes: `make ${name} as it was`,
      undo: async () => {
        await put(back);
        base = before;
        show();
        notice(`${name} is as it was.`);
      },
    });
  }

  /** The change in words. */
  function told(before, wanted, edit) {
    const runs = routes => (routes ? `${routes.length === 1 ? 'route' : 'routes'} ${list(routes)}` : 'every route');
    const lines = [];
    if ('routes' in edit) lines.push(`It runs on ${runs(wanted.routes)} instead of ${runs(before.routes)}.`);
    if ('on_failure' in edit) lines.push(wanted.on_failure === 'skip' ? 'When it fails, requests go on without it. If it guards something, they then pass unguarded.' : 'When it fails, the request is refused.');
    for (const [limit, field] of fields) {
      const [was, is] = [before.limits[limit], wanted.limits[limit]];
      if (was !== is) lines.push(`${field.label}: ${is === undefined ? `the default, ${shown(limit, field.normal)}` : shown(limit, is)} instead of ${was === undefined ? `the default, ${shown(limit, field.normal)}` : shown(limit, was)}.`);
    }
    return lines;
  }

  function build(schema) {
    if (fields.size > 0 || !schema?.properties) return;
    for (const [limit, about] of Object.entries(schema.properties)) {
      const id = `limit-${limit}`;
      const input = h('input', { type: 'number', id, min: about.minimum, max: about.maximum, step: '1', inputmode: 'numeric', placeholder: about.default, 'aria-describedby': `${id}-how`, oninput: touch });
      const field = { input, label: limit, normal: about.default, kept: undefined, get value() { return input.value; } };
      fields.set(limit, field);
      limits.append(h('div', { class: 'field' }, h('label', { for: id, class: 'mono' }, limit), input,
        h('p', { class: 'muted small', id: `${id}-how` }, `${words(about.description)}. Default ${shown(limit, about.default)}.`)));
    }
  }

  return {
    node: h('section', { 'aria-labelledby': 'settings-title' }, h('h2', { id: 'settings-title' }, 'Settings'),
      h('div', { class: 'panel settings' },
        h('fieldset', {}, h('legend', {}, 'Runs on'), h('div', { class: 'options' }, h('label', { class: 'check' }, every, 'Every route'), h('label', { class: 'check' }, some, 'These routes'), boxes, hint)),
        h('fieldset', {}, h('legend', {}, 'When it fails'), h('div', { class: 'options' }, policies.map(one => h('label', { class: 'check' }, one.input, h('span', {}, h('strong', {}, one.value), h('span', { class: 'muted' }, ` ${one.meaning}`)))))),
        h('details', {}, h('summary', {}, 'Limits of a call and of an instance'), h('p', { class: 'muted small' }, 'An empty field stands for the default.'), limits),
        trouble, h('div', { class: 'toolbar' }, apply, button('Start over', { press: () => base && show() }), note))),
    edited: () => base !== null && touched && Object.keys(edits(read())).length > 0,
    update(now) {
      build(now.limits_schema);
      const names = [...new Set([...(data('/routes')?.routes ?? []).map(route => route.route), ...(now.routes ?? [])])];
      const before = new Set([...boxes.querySelectorAll('input')].map(box => box.value));
      keyed(boxes, names, route => route, route => ({ node: h('label', { class: 'check' }, h('input', { type: 'checkbox', value: route, onchange: touch }), route) }));
      const next = { routes: now.routes ?? null, on_failure: now.on_failure ?? 'deny', limits: now.limits ?? {} };
      // What somebody is writing is not taken away.
      if (base === null || (!touched && !same(next, base)) || (!touched && names.some(route => !before.has(route)))) {
        base = next;
        show();
      }
      attribute(boxes, 'aria-label', 'Routes');
    },
  };
}

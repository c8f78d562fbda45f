// What can be done to a plugin from wherever it is seen: switched off and on, with a question before and an undo after.

import { call, data, refresh } from './api.js';
import { badge, confirm, forbidden, lasting, notice } from './talk.js';
import { list, plural } from './format.js';
import { h } from './dom.js';
import { FIGURES, meets } from './figures.js';

/** What shows a plugin, and is asked again after a change. */
const SHOWS = ['/plugins', '/configuration', '/routes', FIGURES, '/state', '/configuration/history'];

/** Asks everything again that a change may have changed. */
export function changed(...more) {
  refresh(...SHOWS, ...more);
}

const path = name => `/plugins/${encodeURIComponent(name)}`;

function reach(plugin) {
  const routes = (data('/routes')?.routes ?? []).map(route => route.route).filter(route => meets(plugin, route));
  if (!plugin.routes) return 'every route';
  return routes.length === 0 ? 'no route' : `${routes.length === 1 ? 'route' : 'routes'} ${list(routes)}`;
}

async function set(name, enabled) {
  const answer = await call('PATCH', path(name), { json: { enabled } });
  changed(path(name));
  return answer;
}

/** Switches a plugin off, after asking, or on. */
export async function toggle(plugin) {
  const name = plugin.plugin;
  const refused = forbidden('operate');
  if (refused) {
    notice(refused, { kind: 'warning' });
    return;
  }
  const enabled = !plugin.enabled;
  const answer = await confirm(enabled
    ? { title: `Switch ${name} on?`, body: `Requests on ${reach(plugin)} will pass it again.`, press: 'Switch on', run: () => set(name, true) }
    : {
      title: `Switch ${name} off?`,
      body: [
        `Requests on ${reach(plugin)} will no longer pass it. Those that are under way finish with it.`,
        (plugin.hooks ?? []).some(hook => hook === 'pre-handler' || hook === 'pre-route')
          ? h('p', { class: 'caution' }, badge('warn', 'Mind'), ' It has a hook that can refuse requests. If it decides who may pass, everybody may while it is off.')
          : null,
      ].filter(Boolean),
      press: 'Switch off',
      run: () => set(name, false),
    });
  if (!answer) return;
  notice(`${name} is switched ${enabled ? 'on' : 'off'}.${lasting(answer)}`, {
    undoes: `switch ${name} ${enabled ? 'off' : 'on'} again`,
    undo: async () => {
      await set(name, !enabled);
      notice(`${name} is switched ${enabled ? 'off' : 'on'} again.`);
    },
  });
}

/** Goes back to an earlier configuration, after asking. */
export async function rollBack(version, words) {
  const before = (data('/configuration/history')?.versions ?? []).find(one => one.current);
  const run = async id => {
    const answer = await call('POST', '/configuration/rollback', { json: { id } });
    changed('/configuration', '/plugins');
    return answer;
  };
  const answer = await confirm({
    title: 'Roll the configuration back?',
    body: `It will be what it was ${words}. What was changed since then no longer applies; it stays in the history.`,
    press: 'Roll back',
    run: () => run(version.id),
  });
  if (!answer) return null;
  notice(`The configuration is again what it was ${words} (generation ${answer.generation}).${lasting(answer)}`, before && {
    undoes: 'go back to the configuration before the rollback',
    undo: async () => {
      await run(before.id);
      notice('The rollback is undone.');
    },
  });
  return answer;
}

/** Uploads a component. The name is that of the plugin; what the gateway says to a bad one is thrown. */
export async function upload(name, file) {
  const there = (data('/plugins')?.plugins ?? []).some(plugin => plugin.plugin === name);
  const versions = there ? await call('GET', `${path(name)}/versions`).catch(() => null) : null;
  const before = versions?.versions?.find(version => version.current);
  const answer = await call('PUT', `${path(name)}/file`, { body: file, type: 'application/wasm', patience: 120_000 });
  changed(path(name), `${path(name)}/versions`);
  const back = before && before.hash !== answer.hash
    ? { undoes: `take ${name} ${before.version ?? ''} again`, undo: () => revert(name, before) }
    : { undoes: `take ${name} out again`, undo: () => takeOut(name) };
  notice(`${name} ${answer.version ?? ''} is taken over (generation ${answer.generation ?? '–'}).${lasting(answer)}`, there && before?.hash === answer.hash ? {} : back);
  return answer;
}

async function takeOut(name) {
  await call('DELETE', path(name));
  changed();
  notice(`${name} is out of the chain again.`);
}

/** Takes an earlier version of a plugin. */
export async function revert(name, version) {
  const answer = await call('POST', `${path(name)}/rollback`, { json: { hash: version.hash } });
  changed(path(name), `${path(name)}/versions`);
  notice(`${name} is ${version.version ?? 'the earlier version'} again.${lasting(answer)}`);
  return answer;
}

/** How many traps, in words. */
export function traps(number) {
  return number ? plural(number, 'trap') : 'no traps';
}

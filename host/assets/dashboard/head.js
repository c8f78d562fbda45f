// The head of every view: health and its reasons, mode, generation, version, and how old the figures are.

import { attribute, h, keyed, s, text } from './dom.js';
import { data, isPaused, known, logOut, nextTry, pause, retry } from './api.js';
import { badge, button, rebadge, say, session } from './talk.js';
import { ago, duration } from './format.js';
import { FIGURES } from './figures.js';

const KIND = { healthy: 'ok', degraded: 'warn', unhealthy: 'bad' };
const MODES = {
  normal: 'normal', serve_stale: 'serve stale', cache_only: 'cache only', read_only: 'read only', maintenance: 'maintenance',
};
// Older figures are called old.
const OLD = 6_000;

/** A mode in words. */
export function modeWords(mode) {
  return MODES[mode] ?? mode ?? 'normal';
}

function reasons(part, path = []) {
  const here = [...path, part.part];
  const own = (part.reasons ?? []).map(what => ({ where: here.slice(1).join(' › ') || 'gateway', what, kind: KIND[part.status] ?? 'warn' }));
  const below = (part.parts ?? []).flatMap(inner => reasons(inner, here));
  // What the parts say stands with them; the whole need not repeat it.
  return below.length > 0 ? [...below, ...own.filter(one => !below.some(other => one.what.endsWith(other.what)))] : own;
}

function themeSwitch() {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
  const node = button('', {
    kind: 'quiet',
    press: () => {
      const next = dark() ? 'light' : 'dark';
      document.documentElement.dataset.theme = next;
      try {
        localStorage.setItem('portcullis.theme', next);
      } catch {
        // It then holds until the page is closed.
      }
      name();
    },
  });
  const name = () => {
    text(node, dark() ? 'Light' : 'Dark');
    attribute(node, 'aria-label', dark() ? 'Light colours' : 'Dark colours');
  };
  system.addEventListener('change', name);
  name();
  return node;
}

/** Builds the head; gives what keeps it current. */
export function head(parent) {
  const health = badge('off', 'loading');
  const why = h('div', { id: 'why', class: 'why', hidden: true });
  const toggle = h('button', {
    type: 'button', class: 'health', 'aria-expanded': 'false', 'aria-controls': 'why',
    onclick: () => {
      why.hidden = !why.hidden;
      attribute(toggle, 'aria-expanded', String(!why.hidden));
    },
  }, h('span', { class: 'unseen' }, 'Health: '), health, h('span', { class: 'more', 'aria-hidden': 'true' }, '▾'));
  const mode = h('dd', {});
  const generation = h('dd', {});
  const version = h('dd', {});
  const uptime = h('dd', {});
  const freshness = h('span', { class: 'freshness' });
  const again = button('Try now', { kind: 'small', hidden: true, press: retry });
  const hold = button('Pause', {
    kind: 'quiet',
    press: () => {
      pause(!isPaused());
      text(hold, isPaused() ? 'Resume' : 'Pause');
      say(isPaused() ? 'Updates are paused.' : 'Updates go on.');
      age();
    },
  });
  const who = h('span', { class: 'who muted' });
  parent.replaceChildren(
    h('a', { class: 'brand', href: '#/' }, logo(), h('span', {}, 'Portcullis')),
    toggle,
    h('dl', { class: 'facts' },
      fact('Mode', mode), fact('Generation', generation), fact('Version', version), fact('Up', uptime)),
    h('div', { class: 'tools' }, freshness, again, hold, themeSwitch(), who, button('Log out', { kind: 'quiet', press: logOut })),
    why,
  );

  let spoken = null;
  function state() {
    const now = data('/state');
    const tree = data('/health');
    if (session.role) text(who, `${session.actor ? `${session.actor}, ` : ''}${session.role}`);
    if (!now) return;
    const status = now.draining ? 'draining' : (tree?.status ?? now.health);
    rebadge(health, now.draining ? 'warn' : (KIND[status] ?? 'off'), status);
    if (spoken !== null && spoken !== status) say(`The gateway is ${status}.`);
    spoken = status;
    const inMode = typeof now.mode === 'string' ? now.mode : now.mode?.mode;
    text(mode, modeWords(inMode));
    attribute(mode, 'class', inMode && inMode !== 'normal' ? 'alarm' : null);
    text(generation, now.serving !== undefined && now.serving !== now.generation ? `${now.generation} (serving ${now.serving})` : (now.generation ?? '–'));
    text(version, now.version ?? '–');
    text(uptime, duration(now.uptime_seconds));
    const all = tree ? reasons(tree) : [];
    for (const what of now.problems ?? []) if (!all.some(one => one.what.includes(what) || what.includes(one.what))) all.push({ where: 'problem', what, kind: 'warn' });
    if (now.refused) all.push({ where: `${now.refused.change ?? 'a change'} was refused`, what: now.refused.why, kind: 'warn' });
    if (all.length === 0) {
      why.parts = undefined;
      why.replaceChildren(h('p', { class: 'muted' }, 'Every part is healthy.'));
    } else {
      if (!why.list?.isConnected) {
        why.list = h('ul', {});
        why.replaceChildren(why.list);
      }
      keyed(why.list, all, one => `${one.where} ${one.what}`, one => ({
        node: h('li', {}, badge(one.kind, one.where), h('span', {}, one.what)),
      }));
    }
    text(toggle.querySelector('.more'), all.length > 0 ? `${all.length} ▾` : '▾');
    attribute(toggle, 'title', all.length > 0 ? 'Show the reasons' : null);
  }

  let away = false;
  function age() {
    const entry = known.get(FIGURES) ?? known.get('/state');
    if (!entry) return;
    const old = Date.now() - entry.at;
    const lost = Boolean(entry.error) && entry.error.name !== 'Refused' && entry.error.status === undefined;
    attribute(again, 'hidden', !lost);
    if (isPaused()) text(freshness, entry.at ? `Paused ${ago(new Date(entry.at).toISOString())}` : 'Paused');
    else if (lost) {
      const wait = Math.max(0, Math.ceil((nextTry(known.has(FIGURES) ? FIGURES : '/state') - Date.now()) / 1000));
      text(freshness, `The gateway is away${wait > 0 ? `; next try in ${wait} s` : '; trying'}`);
    } else if (entry.error) text(freshness, `No figures: ${entry.error.message}`);
    else text(freshness, old > OLD ? `Figures are ${duration(old / 1000)} old` : 'Live');
    attribute(freshness, 'class', `freshness ${lost ? 'bad' : isPaused() || entry.error || old > OLD ? 'old' : 'live'}`);
    attribute(document.body, 'data-stale', entry.at > 0 && (lost || old > OLD));
    if (lost !== away) say(lost ? 'The gateway does not answer. The figures are old.' : 'The gateway answers again.');
    away = lost;
  }
  setInterval(age, 1000);
  return { state, age };
}

function fact(name, value) {
  return h('div', {}, h('dt', {}, name), value);
}

function logo() {
  return s('svg', { viewBox: '0 0 24 24', width: 22, height: 22, 'aria-hidden': 'true', class: 'logo' },
    s('rect', { width: 24, height: 24, rx: 5 }),
    s('path', { d: 'M6 5v13l1 2 1-2V5zm5 0v13l1 2 1-2V5zm5 0v13l1 2 1-2V5zM5 8h14v2H5zm0 5h14v2H5z' }));
}

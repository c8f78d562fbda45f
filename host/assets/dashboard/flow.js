// One route as a picture: what it takes most of its time for, the plugins in their order, the cache, the upstream. A plugin that makes
// the route slow is named, and can be switched off where it is seen.

import { attribute, h, keyed, text } from './dom.js';
import { badge, button, rebadge } from './talk.js';
import { ms, percent, rate } from './format.js';
import { toggle } from './changes.js';
import { chainOf, culprit } from './figures.js';

const COLOURS = 6;

/** The row of a route. */
export function flow() {
  const name = h('h3', {});
  const match = h('span', { class: 'match muted' });
  const facts = Object.fromEntries(['rate', 'mean', 'p95', 'errors'].map(key => [key, h('dd', {})]));
  const words = h('p', { class: 'words' });
  const off = button('', { kind: 'danger', need: 'operate', press: () => blamed && toggle(blamed) });
  const verdict = h('div', { class: 'verdict' }, words, off);
  const bar = h('div', { class: 'bar', 'aria-hidden': 'true' });
  const chain = h('ol', { class: 'chain' });
  let blamed = null;
  const node = h('article', { class: 'route' },
    h('div', { class: 'line' }, h('div', { class: 'called' }, name, match), h('dl', { class: 'numbers' },
      pair('Requests', facts.rate), pair('Mean', facts.mean), pair('p95', facts.p95), pair('Errors', facts.errors))),
    verdict, bar, chain);

  return {
    node,
    update({ route, figures, plugins, upstreams }) {
      text(name, route.route);
      text(match, conditions(route));
      text(facts.rate, rate(figures?.requests_per_second ?? 0));
      const latency = figures?.requests > 0 ? figures.latency_ms : null;
      text(facts.mean, ms(latency?.mean));
      text(facts.p95, ms(latency?.p95));
      text(facts.errors, rate(figures?.errors_per_second ?? 0));
      attribute(facts.errors, 'class', figures?.errors_per_second > 0 ? 'alarm' : null);

      const found = culprit(route, figures);
      attribute(node, 'class', `route${found?.slow ? ' slow' : ''}${found ? '' : ' idle'}`);
      text(words, sentence(found, route));
      // Whoever has switched it off stays where it is switched on again.
      const pressed = document.activeElement === off ? blamed?.plugin : null;
      blamed = found?.slow ? plugins.find(plugin => plugin.plugin === found.name) ?? null : null;
      attribute(off, 'hidden', !(blamed?.enabled));
      if (blamed) {
        text(off, `Switch off ${blamed.plugin}`);
      }

      const steps = chainOf(route, plugins);
      segments(bar, steps, figures, route);
      const items = steps.map((step, at) => ({
        ...step, key: `plugin ${step.name}`, kind: 'plugin', colour: at % COLOURS,
        figures: figures?.requests > 0 ? figures.plugins?.find(one => one.plugin === step.name) : null,
        slow: found?.slow && found.name === step.name,
      }));
      if (route.cache) items.push({ key: 'cache', kind: 'cache', name: 'cache', ratio: figures?.cache_hit_ratio, mean: figures?.time_ms?.cache });
      for (const upstream of route.handler?.upstreams ?? []) {
        items.push({
          key: `upstream ${upstream}`, kind: 'upstream', name: upstream,
          report: upstreams.find(one => one.upstream === upstream),
          mean: figures?.requests > 0 ? figures.time_ms?.upstream : null, total: latency?.mean,
        });
      }
      if (!route.handler?.upstreams?.length) items.push({ key: 'handler', kind: 'handler', name: route.handler?.kind ?? 'handler', mean: figures?.requests > 0 ? figures.time_ms?.upstream : null });
      keyed(chain, items, item => item.key, item => ({ plugin: step, cache: store, upstream, handler })[item.kind](item));
      if (pressed && off.hidden) chain.parts.get(`plugin ${pressed}`)?.node.querySelector('button')?.focus({ preventScroll: true });
    },
  };
}

function pair(term, value) {
  return h('div', {}, h('dt', {}, term), value);
}

/** What a route matches, in a line. */
export function conditions(route) {
  const match = route.match ?? {};
  const path = typeof match === 'string' ? match : match.path;
  const methods = Array.isArray(match.methods) ? match.methods.join(' ') : '';
  const hosts = [match.host, match.hosts].flat().filter(host => host && host !== '*').join(' ');
  const more = Object.entries(match.conditions ?? {}).map(([name, value]) => `${name} ${value}`).join(', ');
  return [methods, hosts, path ?? 'every path', more].filter(Boolean).join(' ');
}

function sentence(found, route) {
  if (!found) return 'No requests in the last seconds.';
  const part = `${percent(found.share)} of the time of route ${route.route}: ${ms(found.ms)} of ${ms(found.total)}.`;
  if (found.kind === 'plugin') return `${found.name} takes ${part}`;
  if (found.kind === 'upstream') return `Upstream ${found.name ?? ''} takes ${part}`;
  if (found.kind === 'handler') return `The handler (${found.name ?? 'handler'}) takes ${part}`;
  if (found.kind === 'cache') return `The cache takes ${part}`;
  return `The gateway itself takes ${part}`;
}

/** The time of a mean request, from left to right. */
function segments(bar, steps, figures, route) {
  const total = figures?.requests > 0 ? figures.latency_ms?.mean : 0;
  const time = figures?.time_ms ?? {};
  const parts = !total ? [] : [
    ...steps.filter(step => step.enabled).map((step, at) => ({
      key: `p ${step.name}`, kind: `c${steps.indexOf(step) % COLOURS}`, at, ms: figures.plugins?.find(one => one.plugin === step.name)?.mean_ms ?? 0,
    })),
    route.cache && { key: 'cache', kind: 'cache', ms: time.cache ?? 0 },
    { key: 'upstream', kind: 'upstream', ms: time.upstream ?? 0 },
    { key: 'other', kind: 'other', ms: time.other ?? 0 },
  ].filter(Boolean);
  const sum = Math.max(total, parts.reduce((all, part) => all + part.ms, 0));
  // The sum goes with the part: what draws it was made when the sum was another.
  keyed(bar, parts.map(part => ({ ...part, share: part.ms / sum })), part => part.key, part => {
    const node = h('span', { class: `part ${part.kind}` });
    return {
      node,
      update: next => {
        attribute(node, 'class', `part ${next.kind}`);
        node.style.width = `${(next.share * 100).toFixed(2)}%`;
        node.title = `${next.key.replace(/^p /, '')}: ${ms(next.ms)}`;
      },
    };
  });
}

function step(first) {
  let current = first.plugin;
  const link = h('a', { class: 'name', href: `#/plugins/${encodeURIComponent(first.name)}` }, first.name);
  const cost = h('span', { class: 'cost' });
  const share = h('span', { class: 'share' });
  const fill = h('span', { class: 'fill' });
  const state = badge('off', 'off');
  const press = button('', { need: 'operate', kind: 'small', press: () => current && toggle(current) });
  const node = h('li', {}, link, h('span', { class: 'figures' }, cost, share, state), h('span', { class: 'gauge', 'aria-hidden': 'true' }, fill), press);
  return {
    node,
    update(item) {
      current = item.plugin;
      const status = item.plugin?.state;
      const well = item.enabled && (status === undefined || status === 'active');
      attribute(node, 'class', `step${item.enabled ? '' : ' off'}${item.slow ? ' slow' : ''}`);
      text(cost, item.enabled ? ms(item.figures?.mean_ms) : '');
      text(share, item.enabled && item.figures ? percent(item.figures.share) : '');
      attribute(fill, 'class', `fill c${item.colour}`);
      fill.style.width = `${Math.min(100, (item.figures?.share ?? 0) * 100).toFixed(1)}%`;
      attribute(state, 'hidden', well);
      if (!well) rebadge(state, item.enabled ? 'bad' : 'off', item.enabled ? status : 'off');
      text(press, item.enabled ? 'Switch off' : 'Switch on');
      attribute(press, 'aria-label', `Switch ${item.enabled ? 'off' : 'on'} ${item.name}`);
      attribute(press, 'hidden', !item.plugin);
    },
  };
}

function store() {
  const ratio = h('span', { class: 'cost' });
  const cost = h('span', { class: 'share' });
  return {
    node: h('li', { class: 'step store' }, h('a', { class: 'name', href: '#/cache' }, 'cache'), h('span', { class: 'figures' }, ratio, cost)),
    update(item) {
      text(ratio, typeof item.ratio === 'number' ? `${percent(item.ratio)} hits` : 'no requests');
      text(cost, item.mean ? ms(item.mean) : '');
    },
  };
}

function upstream(first) {
  const cost = h('span', { class: 'cost' });
  const share = h('span', { class: 'share' });
  const state = badge('off', '…');
  const fill = h('span', { class: 'fill upstream' });
  return {
    node: h('li', { class: 'step upstream' },
      h('a', { class: 'name', href: '#/upstreams' }, first.name), h('span', { class: 'figures' }, cost, share, state),
      h('span', { class: 'gauge', 'aria-hidden': 'true' }, fill)),
    update(item) {
      text(cost, ms(item.mean));
      text(share, item.total && typeof item.mean === 'number' ? percent(item.mean / item.total) : '');
      fill.style.width = `${item.total ? Math.min(100, (item.mean / item.total) * 100).toFixed(1) : 0}%`;
      const all = item.report?.endpoints ?? [];
      const well = all.filter(endpoint => endpoint.healthy).length;
      if (all.length === 0) rebadge(state, 'off', 'unknown');
      else rebadge(state, well === all.length ? 'ok' : well === 0 ? 'bad' : 'warn', `${well} of ${all.length} up`);
    },
  };
}

function handler(item) {
  const names = { files: 'files', respond: 'answered here', redirect: 'redirect' };
  const cost = h('span', { class: 'cost' });
  return {
    node: h('li', { class: 'step handler' }, h('span', { class: 'name' }, names[item.name] ?? item.name), h('span', { class: 'figures' }, cost)),
    update: next => text(cost, ms(next.mean)),
  };
}

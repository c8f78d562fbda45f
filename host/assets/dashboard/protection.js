// What the gateway takes on and who may come: limits, what has become of them, and who was refused.

import { attribute, h, keyed, text } from './dom.js';
import { data, known } from './api.js';
import { badge, empty, rebadge } from './talk.js';
import { bytes, count, duration, ms, percent, plural, rate } from './format.js';
import { FIGURES } from './figures.js';
import { rows, section } from './table.js';
import { bans } from './bans.js';

const REASONS = {
  forbidden: 'address or certificate may not come',
  banned: 'banned',
  head_too_large: 'header too large',
  request_too_large: 'body too large',
  concurrency_limited: 'route has no room',
  overload: 'gateway has no room',
};
/** Growth is told over about so many milliseconds. */
const SPAN = 10_000;

/** The view. */
export function protection() {
  const grown = growth();
  const trouble = h('p', { class: 'trouble' });
  const parts = [overload(), refused(grown), rateLimits(grown), concurrency(grown), routes(), bans()];
  return {
    title: 'Protection',
    node: h('div', { class: 'view' }, h('h1', { tabindex: '-1' }, 'Protection'), trouble, parts.map(part => part.node)),
    needs: { '/protection': 2000, '/bans': 4000 },
    update(path) {
      const now = data('/protection');
      const error = known.get('/protection')?.error;
      text(trouble, !now && error ? error.message : '');
      if (path === '/protection' && now) grown.take(now);
      if (path === '/protection' || path === '/bans' || path === FIGURES || path === '') parts.forEach(part => part.update(now));
    },
  };
}

/** How fast counts grow: what they were some seconds ago is remembered. */
function growth() {
  let samples = [];
  return {
    take(now) {
      const counts = new Map();
      for (const one of now.refused) counts.set(`reason ${one.route} ${one.reason}`, one.requests);
      for (const one of now.rate_limits) counts.set(`limit ${one.plugin} ${one.limit}`, (counts.get(`limit ${one.plugin} ${one.limit}`) ?? 0) + one.refused);
      for (const one of now.routes) if (one.concurrency) counts.set(`route ${one.route}`, one.concurrency.refused);
      const at = Date.now();
      samples = [...samples.filter(sample => at - sample.at < SPAN), { at, counts }];
    },
    /** So many a second; nothing while there is only one look. */
    of(key) {
      const [first, last] = [samples[0], samples.at(-1)];
      if (!first || first === last) return undefined;
      const more = (last.counts.get(key) ?? 0) - (first.counts.get(key) ?? 0);
      return more < 0 ? 0 : more / ((last.at - first.at) / 1000);
    },
  };
}

/** A count of refusals and how fast it grows, as a badge while it does. */
function growing(perSecond) {
  return perSecond > 0 ? ['warn', rate(perSecond)] : ['off', perSecond === undefined ? '–' : 'none'];
}

function overload() {
  const values = Object.fromEntries(['Requests under way', 'Memory', 'Addresses'].map(key => [key, h('dd', {}, '–')]));
  const gauges = Object.fromEntries(['Requests under way', 'Memory'].map(key => [key, h('span', { class: 'fill' })]));
  const fill = (key, part) => {
    gauges[key].style.width = `${Math.min(100, (part || 0) * 100).toFixed(1)}%`;
    attribute(gauges[key], 'class', `fill ${part > 0.9 ? 'high' : 'c0'}`);
  };
  return {
    node: section('overload', 'The gateway’s own limits', h('dl', { class: 'pairs wide' }, Object.entries(values).map(([term, value]) => h('div', {}, h('dt', {}, term), value,
      gauges[term] && h('dd', { class: 'gauge', 'aria-hidden': 'true' }, gauges[term]))))),
    update(now) {
      if (!now) return;
      const { exchanges_max: most, requests_in_flight: workers, memory_bytes_max: memoryMax } = now.overload;
      const busiest = Math.max(0, ...workers);
      text(values['Requests under way'], `${count(busiest)} of ${count(most)} in the busiest of ${plural(workers.length, 'worker')}`);
      fill('Requests under way', busiest / most);
      const memory = data(FIGURES)?.process?.memory_bytes;
      text(values.Memory, memoryMax ? `${bytes(memory)} of ${bytes(memoryMax)} (${percent(memory / memoryMax)})` : `${bytes(memory)}, no limit`);
      fill('Memory', memory / memoryMax);
      text(values.Addresses, who(now.addresses));
    },
  };
}

/** Who may come, in words. */
function who(addresses) {
  if (!addresses) return 'everybody may come';
  const listed = [addresses.allow && `${plural(addresses.allow, 'network')} allowed`, addresses.deny && `${plural(addresses.deny, 'network')} denied`].filter(Boolean);
  return `${listed.join(', ') || 'no network named'}; all others ${addresses.others === 'allow' ? 'may come' : 'may not'}${addresses.refuse === 'close' ? '; refused by closing the connection' : ''}`;
}

function refused(grown) {
  const none = empty('Loading…');
  const table = rows('By the gateway itself, since it started; by rate limits, see below', ['Why', 'Route', 'Requests', 'Now'], 'stack');
  return {
    node: section('refused', 'Who was refused', none, table.node),
    update(now) {
      if (!now) return;
      text(none, 'The gateway itself has refused nobody since it started. Refusals by rate limits stand below.');
      none.hidden = now.refused.length > 0;
      const all = [...now.refused].sort((one, other) => other.requests - one.requests);
      table.fill(all, one => `${one.route} ${one.reason}`, one => [REASONS[one.reason] ?? one.reason, one.route ?? 'before any route', count(one.requests), growing(grown.of(`reason ${one.route} ${one.reason}`))]);
    },
  };
}

/** A window of time in its own unit. */
function span(milliseconds) {
  return milliseconds < 1000 ? ms(milliseconds) : duration(milliseconds / 1000);
}

/** Which key a limit refused most in the last minute. What the key is stays with the gateway: it may be a secret. */
function greediest(limit) {
  const most = limit.greediest?.[0];
  if (!most || !limit.refused_last_minute) return 'nobody in the last minute';
  return `${percent(Math.min(1, most.refused / limit.refused_last_minute))} one key, ${most.key}${most.address ? ` from ${most.address}` : ''}`;
}

function rateLimits(grown) {
  const none = empty('Loading…');
  const table = rows('Rate limits in use', ['Limit', 'Plugin', 'Allows', 'Counted by', 'Keys', 'Refused', 'Now', 'Most refused'], 'stack');
  const allows = one => (one.algorithm === 'token_bucket'
    ? `${count(one.requests)} per ${span(one.window_ms)}, ${count(one.burst)} at once`
    : `${count(one.requests)} in any ${span(one.window_ms)}`);
  return {
    node: section('rates', 'Rate limits', none, table.node,
      h('p', { class: 'muted small' }, 'Plugins hold clients to them, counted exactly over all workers. Keys are the clients (or whatever a limit counts by) that have used some of it lately.')),
    update(now) {
      if (!now) return;
      text(none, 'No plugin holds anybody to a rate limit yet.');
      none.hidden = now.rate_limits.length > 0;
      table.fill(now.rate_limits, one => `${one.plugin} ${one.limit} ${one.algorithm} ${one.window_ms}`, one => [
        one.limit, one.plugin, allows(one), { sliding_window: 'sliding window', token_bucket: 'token bucket' }[one.algorithm] ?? one.algorithm,
        count(one.keys), count(one.refused), growing(grown.of(`limit ${one.plugin} ${one.limit}`)), greediest(one),
      ]);
    },
  };
}

function concurrency(grown) {
  const none = empty('Loading…');
  const list = h('ul', { class: 'held' });
  return {
    node: section('concurrency', 'Adaptive concurrency', none, list,
      h('p', { class: 'muted small' }, 'How many requests of a route may be under way follows from how long its upstream takes. Those that find no room are answered with 503 at once.')),
    update(now) {
      if (!now) return;
      const all = now.routes.filter(one => one.concurrency);
      none.hidden = all.length > 0;
      text(none, 'No route has “concurrency”.');
      keyed(list, all, one => one.route, one => {
        const [now, how, refusals, speed, fill] = [h('p', {}), h('p', { class: 'muted small' }), h('span', {}), badge('off', '–'), h('span', { class: 'fill c1' })];
        return {
          node: h('li', {}, h('h3', {}, one.route), now, h('span', { class: 'gauge', 'aria-hidden': 'true' }, fill), h('p', { class: 'refusals' }, refusals, ' ', speed), how),
          update({ route, concurrency: held }) {
            const limit = held.limits.reduce((sum, each) => sum + each, 0);
            const each = held.limits.length > 1 ? ` (${held.limits.join(' + ')} in ${plural(held.limits.length, 'worker')})` : '';
            text(now, `${count(held.in_flight)} of ${count(limit)} under way${each}`);
            fill.style.width = `${limit ? Math.min(100, (held.in_flight / limit) * 100).toFixed(1) : 0}%`;
            attribute(fill, 'class', `fill ${limit && held.in_flight / limit > 0.9 ? 'high' : 'c1'}`);
            text(refusals, `${count(held.refused)} refused`);
            rebadge(speed, ...growing(grown.of(`route ${route}`)));
            text(how, held.algorithm === 'aimd'
              ? `aimd: grows while answers take less than ${ms(held.latency_ms)}; ${count(held.min)} to ${count(held.max)} in each worker`
              : `gradient: holds where answers take ${held.tolerance} times as long as without load; ${count(held.min)} to ${count(held.max)} in each worker`);
          },
        };
      });
    },
  };
}

function routes() {
  const none = empty('Loading…');
  const table = rows('What single routes take on', ['Route', 'Addresses', 'Header fields', 'Header bytes', 'Body'], 'stack');
  return {
    node: section('takes', 'Limits of routes', none, table.node),
    update(now) {
      if (!now) return;
      const all = now.routes.filter(one => one.addresses || one.headers_max !== null || one.header_bytes_max !== null || one.body_bytes_max !== null);
      text(none, 'No route has limits of its own.');
      none.hidden = all.length > 0;
      const most = (value, write) => (value === null ? '–' : `up to ${write(value)}`);
      table.fill(all, one => one.route, one => [one.route, one.addresses ? who(one.addresses) : '–', most(one.headers_max, count), most(one.header_bytes_max, bytes), most(one.body_bytes_max, bytes)]);
    },
  };
}

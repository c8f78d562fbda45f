// The first view: how much, how fast, how many errors, and where each route spends its time, the slow one on top.

import { attribute, h, inUse, keyed, text } from './dom.js';
import { data, known } from './api.js';
import { bytes, count, ms, percent, plural, rate } from './format.js';
import { advice } from './advice.js';
import { chart } from './chart.js';
import { flow } from './flow.js';
import { FIGURES, SERIES, catalogue, settle } from './figures.js';

const ROUTES_MAX = 25;
const FAULTS = ['downstream', 'upstream', 'plugin', 'internal'];

/** The view. */
export function overview() {
  const tiles = [
    tile('Requests', 'rate', rate, ['2xx', '3xx', '4xx', '5xx']),
    tile('Latency, p95', 'latency', ms, ['p50', 'p95', 'p99', 'Mean']),
    tile('Errors', 'errors', rate, ['Client', 'Upstream', 'Plugin', 'Internal']),
    tile('Under way', null, count, ['Open', 'Sent', 'Memory', 'CPU']),
  ];
  const table = figures();
  const hints = advice();
  const find = h('input', { type: 'search', id: 'find-route', placeholder: 'Find a route', oninput: () => update('') });
  const finding = h('p', { class: 'find', hidden: true }, h('label', { for: 'find-route', class: 'unseen' }, 'Find a route'), find);
  const routes = h('div', { class: 'routes' });
  const more = h('p', { class: 'muted', hidden: true });
  const nothing = h('p', { class: 'loading' }, 'Loading…');
  const node = h('div', { class: 'view' },
    h('h1', { tabindex: '-1' }, 'Overview'),
    h('section', { 'aria-label': 'Figures of the last seconds' }, h('div', { class: 'tiles' }, tiles.map(one => one.node)), table.node),
    hints.node,
    h('section', { 'aria-labelledby': 'routes-title' },
      h('div', { class: 'title' }, h('h2', { id: 'routes-title' }, 'Where the time goes'),
        h('p', { class: 'muted' }, 'Mean time of a request by route, slowest first: plugins in their order, then cache and upstream.'), finding),
      nothing, routes, more),
  );
  let order = [];

  function update(path) {
    const live = data(FIGURES);
    const series = data(SERIES);
    if (live && (path === FIGURES || path === '')) fillTiles(tiles, live);
    if (series && (path === SERIES || path === '')) {
      tiles[0].draw(series.series.requests_per_second, series.series.step_seconds);
      tiles[1].draw(series.series.p95_ms, series.series.step_seconds);
      tiles[2].draw(series.series.errors_per_second, series.series.step_seconds);
      table.update(series.series);
    }
    if (path === '/advice' || path === '') hints.update();
    const all = data('/routes')?.routes;
    if (!all) {
      const error = known.get('/routes')?.error;
      if (error) text(nothing, error.message);
      return;
    }
    const byName = new Map((live?.routes ?? []).map(one => [one.route, one]));
    const rows = new Map(all.map(route => [route.route, route]));
    const mean = name => {
      const figures = byName.get(name);
      return figures?.requests > 0 ? figures.latency_ms.mean : 0;
    };
    if (order.length === 0 || !inUse(routes)) order = settle(order, [...rows.keys()], mean);
    else order = [...order.filter(name => rows.has(name)), ...[...rows.keys()].filter(name => !order.includes(name))];
    const wanted = find.value.trim().toLowerCase();
    const found = order.filter(name => name.toLowerCase().includes(wanted));
    finding.hidden = all.length <= 8;
    more.hidden = found.length <= ROUTES_MAX;
    text(more, `${plural(found.length - ROUTES_MAX, 'more route')}: find one by its name.`);
    nothing.hidden = found.length > 0;
    if (found.length === 0) text(nothing, all.length === 0 ? 'There are no routes.' : 'No route has that in its name.');
    const plugins = catalogue();
    const upstreams = data('/upstreams')?.upstreams ?? [];
    keyed(routes, found.slice(0, ROUTES_MAX).map(name => ({ route: rows.get(name), figures: byName.get(name), plugins, upstreams })), item => item.route.route, flow);
  }

  return {
    title: 'Overview',
    node,
    needs: { [FIGURES]: 1000, [SERIES]: 2000, '/routes': 5000, '/plugins': 2000, '/upstreams': 3000, '/advice': 5000 },
    update,
  };
}

function tile(name, kind, unit, parts) {
  const value = h('p', { class: 'value' }, '–');
  const drawn = kind ? chart({ label: name, unit, kind }) : null;
  const values = parts.map(() => h('dd', {}, '–'));
  return {
    node: h('div', { class: `tile ${kind ?? ''}` }, h('h2', {}, name), value, drawn?.node,
      h('dl', {}, parts.map((part, at) => h('div', {}, h('dt', {}, part), values[at])))),
    fill(main, rest, alarms = []) {
      text(value, main);
      rest.forEach((one, at) => {
        text(values[at], one);
        attribute(values[at], 'class', alarms[at] ? 'alarm' : null);
      });
    },
    draw: (series, step) => drawn?.update(series ?? [], step ?? 1),
  };
}

function fillTiles(tiles, live) {
  const { total, connections = {}, process = {} } = live;
  const any = total.requests > 0;
  const latency = any ? total.latency_ms : {};
  const status = total.status ?? {};
  const errors = total.errors ?? {};
  const failed = FAULTS.reduce((sum, fault) => sum + (errors[fault] ?? 0), 0);
  tiles[0].fill(rate(total.requests_per_second), ['2xx', '3xx', '4xx', '5xx'].map(one => count(status[one] ?? 0)), [false, false, false, status['5xx'] > 0]);
  tiles[1].fill(ms(latency.p95), [ms(latency.p50), ms(latency.p95), ms(latency.p99), ms(latency.mean)]);
  tiles[2].fill(rate(failed / (live.window_seconds || 1)), FAULTS.map(fault => count(errors[fault] ?? 0)), FAULTS.map(fault => fault !== 'downstream' && errors[fault] > 0));
  tiles[3].fill(count(connections.requests_in_flight), [
    count(connections.open), `${bytes(total.bytes_per_second)}/s`, bytes(process.memory_bytes),
    typeof process.cpu_percent === 'number' ? percent(process.cpu_percent / 100) : '–',
  ]);
}

function highest(values) {
  const there = values.filter(value => typeof value === 'number');
  return there.length > 0 ? Math.max(...there) : undefined;
}

/** The charts as a table, every five seconds. */
function figures() {
  const body = h('tbody', {});
  const details = h('details', { class: 'astable' },
    h('summary', {}, 'The charts as a table'),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'The charts as a table' }, h('table', {},
      h('caption', {}, 'The last minute, in steps of five seconds, newest first'),
      h('thead', {}, h('tr', {}, ['Seconds ago', 'Requests', 'p95', 'Errors'].map(name => h('th', { scope: 'col' }, name)))), body)));
  return {
    node: details,
    update(series) {
      if (!details.open) return;
      const step = series.step_seconds || 1;
      const size = Math.max(1, Math.round(5 / step));
      const { requests_per_second: requests = [], p95_ms: p95 = [], errors_per_second: errors = [] } = series;
      const rows = [];
      for (let end = requests.length; end > 0; end -= size) {
        const mean = values => values.slice(Math.max(0, end - size), end).reduce((sum, one, _, all) => sum + (one ?? 0) / all.length, 0);
        rows.push([count((requests.length - end) * step), rate(mean(requests)), ms(highest(p95.slice(Math.max(0, end - size), end))), rate(mean(errors))]);
      }
      keyed(body, rows, row => row[0], row => {
        const cells = row.slice(1).map(() => h('td', {}));
        return { node: h('tr', {}, h('th', { scope: 'row' }, row[0]), cells), update: next => next.slice(1).forEach((value, at) => text(cells[at], value)) };
      });
    },
  };
}

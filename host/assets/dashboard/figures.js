// The figures of the last seconds: short enough to show what a change did, and a minute for the charts.

import { data } from './api.js';

/** What is going on now. */
export const FIGURES = '/live?seconds=10';
/** What the charts show. */
export const SERIES = '/live?seconds=60';

/** A plugin that takes at least this part of a route's time, */
const SHARE = 0.5;
/** and at least this many milliseconds, makes the route slow. */
const SLOW_MS = 1;

/** What takes most of a route's time: `{ kind, name, ms, share, total, slow }`, or nothing while the route has no figures. */
export function culprit(route, figures) {
  const total = figures?.latency_ms?.mean;
  if (!total || !(figures.requests > 0)) return null;
  const time = figures.time_ms ?? {};
  const upstream = route.handler?.upstreams?.[0];
  const parts = [
    ...(figures.plugins ?? []).map(plugin => ({
      kind: 'plugin', name: plugin.plugin, ms: plugin.mean_ms, share: plugin.share ?? plugin.mean_ms / total,
    })),
    { kind: upstream ? 'upstream' : 'handler', name: upstream ?? route.handler?.kind, ms: time.upstream ?? 0, share: (time.upstream ?? 0) / total },
    { kind: 'cache', name: 'cache', ms: time.cache ?? 0, share: (time.cache ?? 0) / total },
    { kind: 'other', name: 'gateway', ms: time.other ?? 0, share: (time.other ?? 0) / total },
  ];
  const most = parts.reduce((best, part) => (part.ms > best.ms ? part : best));
  return { ...most, share: Math.min(1, most.share), total, slow: most.kind === 'plugin' && most.share >= SHARE && most.ms >= SLOW_MS };
}

/** The plugins in chain order, also those that are off; behind them what only lies in the folder. */
export function catalogue() {
  return data('/plugins')?.plugins ?? [];
}

/** Whether a plugin is part of the chain: written there, or running without being written anywhere. */
export function inChain(plugin) {
  return plugin.listed !== false || plugin.state === 'active' || plugin.state === 'quarantined';
}

/** Whether a plugin runs on a route, if it is on. */
export function meets(plugin, route) {
  return plugin.routes === null || plugin.routes === undefined || plugin.routes.includes(route);
}

/** The plugins of a route in their order, also those that are off: `{ name, enabled, plugin }`. */
export function chainOf(route, plugins) {
  const running = route.chain ?? [];
  const known = new Map(plugins.map(plugin => [plugin.plugin, plugin]));
  const steps = running.map(name => ({ name, enabled: known.get(name)?.enabled ?? true, plugin: known.get(name) }));
  // One that is off stands where it would run: behind the nearest plugin before it in the chain.
  const order = plugins.filter(inChain).map(plugin => plugin.plugin);
  for (const plugin of plugins) {
    if (plugin.enabled || !inChain(plugin) || running.includes(plugin.plugin) || !meets(plugin, route.route)) continue;
    const before = order.slice(0, order.indexOf(plugin.plugin));
    let at = steps.length;
    while (at > 0 && !before.includes(steps[at - 1].name)) at -= 1;
    steps.splice(at, 0, { name: plugin.plugin, enabled: false, plugin });
  }
  return steps;
}

/** Keeps an order unless it is clearly wrong: rows that change places with every figure cannot be read. */
export function settle(before, names, value) {
  const kept = before.filter(name => names.includes(name));
  const added = names.filter(name => !kept.includes(name));
  const order = [...kept];
  for (const name of added) {
    const at = order.findIndex(other => value(other) < value(name));
    if (at < 0) order.push(name);
    else order.splice(at, 0, name);
  }
  for (let round = 0; round < order.length; round += 1) {
    let moved = false;
    for (let at = 0; at + 1 < order.length; at += 1) {
      if (value(order[at + 1]) > value(order[at]) * 1.25) {
        [order[at], order[at + 1]] = [order[at + 1], order[at]];
        moved = true;
      }
    }
    if (!moved) break;
  }
  return order;
}

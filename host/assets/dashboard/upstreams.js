// Upstreams: their endpoints, how they are, and what share of the requests each gets.

import { attribute, h, keyed, text } from './dom.js';
import { call, data, known, refresh } from './api.js';
import { badge, button, confirm, lasting, notice, rebadge } from './talk.js';
import { count, ms, rate } from './format.js';
import { FIGURES } from './figures.js';

/** The view. */
export function upstreams() {
  const all = h('div', { class: 'view' });
  const none = h('p', { class: 'loading' }, 'Loading…');
  return {
    title: 'Upstreams',
    node: h('div', { class: 'view' }, h('h1', { tabindex: '-1' }, 'Upstreams'), none, all),
    needs: { '/upstreams': 2000 },
    update() {
      const answer = data('/upstreams');
      const error = known.get('/upstreams')?.error;
      if (!answer) {
        if (error) text(none, error.message);
        return;
      }
      none.hidden = answer.upstreams.length > 0;
      text(none, 'There are no upstreams.');
      const figures = data(FIGURES)?.upstreams ?? [];
      keyed(all, answer.upstreams.map(one => ({ ...one, figures: figures.find(other => other.upstream === one.upstream) })), one => one.upstream, upstream);
    },
  };
}

function upstream({ upstream: name }) {
  const status = badge('off', '');
  const values = Object.fromEntries(['Requests', 'Mean', 'Failures', 'In flight', 'Waiting', 'Retries', 'Breakers open'].map(key => [key, h('dd', {}, '–')]));
  const body = h('tbody', {});
  const node = h('section', { 'aria-label': `Upstream ${name}` },
    h('div', { class: 'title' }, h('h2', {}, name), status),
    h('div', { class: 'panel' }, h('dl', { class: 'pairs' }, Object.entries(values).map(([term, value]) => h('div', {}, h('dt', {}, term), value))),
      h('table', { class: 'stack' }, h('caption', {}, `Endpoints of ${name}`),
        h('thead', {}, h('tr', {}, ['Endpoint', 'State', 'In flight', 'Requests', 'Failures', 'Connections', 'Weight', 'Drain'].map(term => h('th', { scope: 'col' }, term)))), body)));
  return {
    node,
    update(now) {
      const well = now.endpoints.filter(one => one.healthy).length;
      rebadge(status, well === now.endpoints.length ? 'ok' : well === 0 ? 'bad' : 'warn', `${well} of ${now.endpoints.length} up`);
      text(values.Requests, rate(now.figures?.requests_per_second ?? 0));
      text(values.Mean, ms(now.figures?.mean_ms));
      text(values.Failures, rate(now.figures?.failures_per_second ?? 0));
      attribute(values.Failures, 'class', now.figures?.failures_per_second > 0 ? 'alarm' : null);
      text(values['In flight'], count(now.figures?.in_flight ?? now.endpoints.reduce((sum, one) => sum + (one.in_flight ?? 0), 0)));
      text(values.Waiting, count(now.pending));
      text(values.Retries, count(now.retries));
      text(values['Breakers open'], count(now.breakers_open));
      keyed(body, now.endpoints, one => one.endpoint, one => endpoint(name, one));
    },
  };
}

function endpoint(upstream, first) {
  const name = first.endpoint;
  const path = `/upstreams/${encodeURIComponent(upstream)}/endpoints/${encodeURIComponent(name)}`;
  let current = first;
  const status = badge('off', '');
  const cells = Object.fromEntries(['In flight', 'Requests', 'Failures', 'Connections'].map(term => [term, h('td', { 'data-term': term })]));
  const weight = h('input', { type: 'number', min: '1', max: '1000', step: '1', 'aria-label': `Weight of ${name}`, value: String(first.weight ?? 1), class: 'weight' });
  const patch = async json => {
    const answer = await call('PATCH', path, { json });
    refresh('/upstreams');
    return answer;
  };
  const set = button('Set', {
    kind: 'small', need: 'operate', name: `Set the weight of ${name}`,
    press: async () => {
      const [before, wanted] = [current.weight, Number(weight.value)];
      if (weight.value === '' || !Number.isInteger(wanted) || wanted < 1 || wanted > 1000) {
        notice('A weight is a whole number from 1 to 1000. Drain an endpoint that should get nothing.', { kind: 'warning' });
        weight.focus();
        return;
      }
      if (wanted === before) return;
      const answer = await confirm({ title: `Give ${name} weight ${wanted}?`, body: `It has ${before} now.`, press: 'Set weight', run: () => patch({ weight: wanted }) });
      if (answer) notice(`${name} has weight ${wanted}.${lasting(answer)}`, { undoes: `weight ${before} again`, undo: async () => { await patch({ weight: before }); weight.value = String(before); notice(`${name} has weight ${before} again.`); } });
    },
  });
  const drain = button('Drain', {
    kind: 'small', need: 'operate',
    press: async () => {
      const wanted = !current.draining;
      const answer = await confirm({
        title: wanted ? `Drain ${name}?` : `Take ${name} back?`,
        body: wanted ? 'It gets no new requests; those under way finish.' : 'It gets requests again.',
        press: wanted ? 'Drain' : 'Take back', run: () => patch({ draining: wanted }),
      });
      if (answer) notice(wanted ? `${name} is draining.${lasting(answer)}` : `${name} takes requests again.${lasting(answer)}`, { undoes: 'change it back', undo: async () => { await patch({ draining: !wanted }); notice('Changed back.'); } });
    },
  });
  return {
    node: h('tr', {}, h('th', { scope: 'row', class: 'mono' }, name), h('td', { 'data-term': 'State' }, status), Object.values(cells),
      h('td', { 'data-term': 'Weight' }, h('span', { class: 'toolbar' }, weight, set)), h('td', { 'data-term': 'Drain' }, drain)),
    update(now) {
      if (now.weight !== current.weight && document.activeElement !== weight) weight.value = String(now.weight ?? 1);
      current = now;
      const ejected = now.ejected_by_workers > 0;
      rebadge(status, now.draining ? 'off' : !now.healthy ? 'bad' : ejected ? 'warn' : 'ok', now.draining ? 'draining' : !now.healthy ? 'unhealthy' : ejected ? `ejected by ${now.ejected_by_workers}` : 'healthy');
      text(cells['In flight'], count(now.in_flight));
      text(cells.Requests, count(now.requests));
      text(cells.Failures, count(now.failures));
      text(cells.Connections, `${count(now.open_connections)} open, ${count(now.idle_connections)} idle`);
      text(drain, now.draining ? 'Take back' : 'Drain');
      attribute(drain, 'aria-label', now.draining ? `Take back ${name}` : `Drain ${name}`);
    },
  };
}

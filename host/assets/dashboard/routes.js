// The routes: what each matches, which plugins it runs and where it leads; and a form that tells which of them a request would get, and why.

import { h, text } from './dom.js';
import { call, data, known } from './api.js';
import { badge, empty, problems, say } from './talk.js';
import { list } from './format.js';
import { rows } from './table.js';
import { conditions } from './flow.js';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const KINDS = { files: 'files in', respond: 'answers', redirect: 'redirects with' };
/** Fewer need no search. */
const FEW = 8;

/** The view. */
export function routes() {
  const none = h('p', { class: 'loading' }, 'Loading…');
  const find = h('input', { type: 'search', id: 'routes-find', placeholder: 'Find a route', oninput: () => update() });
  const finding = h('p', { class: 'find', hidden: true }, h('label', { for: 'routes-find', class: 'unseen' }, 'Find a route'), find);
  const table = rows('In the order in which they are written; what is more particular wins', ['Route', 'Matches', 'Plugins', 'Cache', 'Leads to'], 'stack');

  function update() {
    const all = data('/routes')?.routes;
    if (!all) {
      const error = known.get('/routes')?.error;
      if (error) text(none, error.message);
      return;
    }
    const wanted = find.value.trim().toLowerCase();
    const found = all.filter(route => !wanted || `${route.route} ${conditions(route)} ${target(route.handler)} ${route.chain.join(' ')}`.toLowerCase().includes(wanted));
    finding.hidden = all.length <= FEW;
    none.hidden = found.length > 0;
    text(none, all.length === 0 ? 'There are no routes.' : 'No route is like that.');
    table.fill(found, one => one.route, one => [one.route, conditions(one), one.chain.join(' → ') || 'none', one.cache ? ['ok', 'cached'] : ['off', 'no'], target(one.handler)]);
  }

  return {
    title: 'Routes',
    node: h('div', { class: 'view' },
      h('h1', { tabindex: '-1' }, 'Routes'),
      explaining(),
      h('section', { 'aria-labelledby': 'all-title' }, h('div', { class: 'title' }, h('h2', { id: 'all-title' }, 'All routes'), finding), h('div', { class: 'panel' }, none, table.node))),
    needs: { '/routes': 5000 },
    update,
  };
}

/** Where a handler leads. */
function target(handler) {
  if (!handler) return '–';
  if (handler.kind === 'proxy') return handler.detail || list(handler.upstreams ?? []) || 'proxy';
  return [KINDS[handler.kind] ?? handler.kind, handler.detail].filter(Boolean).join(' ');
}

/** Header fields as they are written, `name: value` on a line each; what is no field is told by its line. */
function fields(written) {
  const headers = {};
  const odd = [];
  written.split('\n').forEach((line, at) => {
    if (!line.trim()) return;
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim();
    if (colon < 1 || !/^[a-zA-Z0-9-]{1,64}$/.test(name)) odd.push(at + 1);
    // The same field twice is one with both values (RFC 9110, section 5.3).
    else headers[name] = headers[name] === undefined ? line.slice(colon + 1).trim() : `${headers[name]}, ${line.slice(colon + 1).trim()}`;
  });
  return { headers, odd };
}

function explaining() {
  const method = h('select', { id: 'explain-method' }, METHODS.map(name => h('option', { value: name }, name)));
  const url = h('input', { type: 'text', id: 'explain-url', autocomplete: 'off', spellcheck: 'false', inputmode: 'url', placeholder: 'https://shop.example/cart?id=7', 'aria-describedby': 'explain-trouble' });
  const headers = h('textarea', { id: 'explain-headers', rows: 2, spellcheck: 'false', autocomplete: 'off', placeholder: 'X-Version: 2' });
  const client = h('input', { type: 'text', id: 'explain-client', autocomplete: 'off', spellcheck: 'false', placeholder: '127.0.0.1' });
  const trouble = h('div', { id: 'explain-trouble' });
  const answer = h('div', { class: 'result' });

  async function submit(event) {
    event.preventDefault();
    trouble.replaceChildren();
    const wrong = (words, node) => {
      trouble.replaceChildren(h('p', { class: 'trouble', role: 'alert' }, words));
      node.focus();
    };
    let wanted = url.value.trim();
    if (!wanted) {
      wrong('Write the URL of a request.', url);
      return;
    }
    // A path alone is asked of this host, as a visitor of the gateway would.
    if (wanted.startsWith('/')) wanted = `http://${location.hostname}${wanted}`;
    else if (!/^https?:\/\//i.test(wanted)) wanted = `http://${wanted}`;
    const { headers: sent, odd } = fields(headers.value);
    if (odd.length > 0) {
      wrong(`Line ${list(odd.map(String))} of the header fields is no field. Write “name: value”.`, headers);
      return;
    }
    try {
      const json = { method: method.value, url: wanted, headers: sent, ...(client.value.trim() ? { client: client.value.trim() } : {}) };
      const told = await call('POST', '/routes/explain', { json });
      answer.replaceChildren(explained(told, `${json.method} ${wanted}`));
      say(told.route ? `Route ${told.route} gets it.` : 'No route gets it.');
    } catch (error) {
      answer.replaceChildren();
      trouble.replaceChildren(problems(error));
    }
  }

  return h('section', { 'aria-labelledby': 'explain-title' },
    h('div', { class: 'title' }, h('h2', { id: 'explain-title' }, 'Which route gets a request?'), h('p', { class: 'muted' }, 'Nothing is sent: the gateway only tells what it would do.')),
    h('form', { class: 'panel', onsubmit: submit },
      h('div', { class: 'fields' },
        h('div', { class: 'field' }, h('label', { for: method.id }, 'Method'), method),
        h('div', { class: 'field grow' }, h('label', { for: url.id }, 'URL'), url),
        h('button', { type: 'submit', class: 'button primary' }, 'Explain')),
      h('details', {}, h('summary', {}, 'Header fields and client'),
        h('div', { class: 'fields inner' },
          h('div', { class: 'field grow' }, h('label', { for: headers.id }, 'Header fields, one on each line'), headers),
          h('div', { class: 'field' }, h('label', { for: client.id }, 'Client’s address'), client))),
      trouble, answer));
}

function explained(told, asked) {
  const names = Object.entries(told.parameters ?? {});
  const outcome = { found: ['ok', `route ${told.route}`], not_found: ['bad', 'no route: 404'], method_not_allowed: ['bad', 'not with this method: 405'] }[told.outcome] ?? ['off', told.outcome];
  const pairs = told.route ? [
    ['Because', told.why ?? '–'],
    ...(names.length > 0 ? [['Parameters', names.map(([name, value]) => `${name} = ${value}`).join(', ')]] : []),
    ['Plugins', (told.chain ?? []).join(' → ') || 'none'],
    ['Leads to', target(told.handler)],
    ...(told.upstream_target ? [['Asked there', told.upstream_target]] : []),
  ] : [];
  const others = told.others ?? [];
  return h('div', { class: 'explained' },
    h('p', {}, h('span', { class: 'mono' }, asked), ' ', badge(...outcome)),
    pairs.length > 0 && h('dl', { class: 'terms' }, pairs.flatMap(([term, value]) => [h('dt', {}, term), h('dd', { class: 'mono' }, value)])),
    others.length === 0 ? empty(told.route ? 'There is no other route.' : 'There are no routes.')
      : h('table', { class: 'stack' }, h('caption', {}, told.route ? 'Why the others do not get it, the closest first' : 'Why none of them gets it, the closest first'),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Route'), h('th', { scope: 'col' }, 'Why not'))),
        h('tbody', {}, others.slice(0, 50).map(other => h('tr', {}, h('th', { scope: 'row' }, other.route), h('td', { 'data-term': 'Why not' }, other.why_not))))));
}

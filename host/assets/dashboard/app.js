// The page: which view is open, what it needs to know, who is logged in. A view is made when it is opened: `make(argument)` gives
// `{ title, node, needs, update(path) }`; what it needs is polled while it is open.

import { h, text } from './dom.js';
import { call, listen, watch } from './api.js';
import { session, notice } from './talk.js';
import { FIGURES } from './figures.js';
import { head } from './head.js';
import { notable } from './notable.js';
import { overview } from './overview.js';
import { routes } from './routes.js';
import { plugins } from './plugins.js';
import { plugin } from './plugin.js';
import { cache } from './cache.js';
import { upstreams } from './upstreams.js';
import { protection } from './protection.js';
import { configuration } from './configuration.js';
import { operations } from './operations.js';

const VIEWS = [
  { path: '', name: 'Overview', make: overview },
  { path: 'routes', name: 'Routes', make: routes },
  { path: 'plugins', name: 'Plugins', make: argument => (argument ? plugin(argument) : plugins()) },
  { path: 'cache', name: 'Cache', make: cache },
  { path: 'upstreams', name: 'Upstreams', make: upstreams },
  { path: 'protection', name: 'Protection', make: protection },
  { path: 'configuration', name: 'Configuration', make: configuration },
  { path: 'operations', name: 'Operations', make: operations },
];
// What the head shows, whatever view is open.
const ALWAYS = { '/state': 2000, '/health': 4000, '/alerts': 4000, [FIGURES]: 1000 };

const main = document.getElementById('main');
const top = head(document.getElementById('head'));
const band = notable();
const links = VIEWS.map(view => h('a', { href: `#/${view.path}` }, view.name));
document.getElementById('nav').replaceChildren(h('ul', {}, links.map(link => h('li', {}, link))));

let open = null;
let address = null;

function show() {
  if (location.hash === address) return;
  const [, path = '', argument] = location.hash.split('/');
  const at = Math.max(0, VIEWS.findIndex(view => view.path === path));
  if (open?.leave && !open.leave()) {
    history.replaceState(null, '', address || '#/');
    return;
  }
  const first = address === null;
  address = location.hash;
  links.forEach((link, number) => {
    if (number === at) {
      link.setAttribute('aria-current', 'page');
      // On a phone the views are a strip, and the open one may lie beyond its edge.
      link.scrollIntoView({ block: 'nearest', inline: 'center' });
    } else link.removeAttribute('aria-current');
  });
  open = VIEWS[at].make(argument === undefined ? undefined : decodeURIComponent(argument));
  document.title = `${open.title} · Portcullis`;
  main.replaceChildren(band.node, open.node);
  watch({ ...ALWAYS, ...open.needs });
  open.update?.('');
  band.update();
  if (!first) {
    // As a browser does it for a new page: from the top, and said.
    scrollTo(0, 0);
    main.querySelector('h1')?.focus({ preventScroll: true });
  }
}

listen(path => {
  if (path === '/state' || path === '/health') top.state();
  if (path.startsWith('/live')) top.age();
  if (path === '/alerts' || path === '/advice') band.update();
  open?.update?.(path);
});

addEventListener('hashchange', show);
addEventListener('unhandledrejection', event => notice(`Something went wrong in this page: ${event.reason?.message ?? event.reason}`, { kind: 'bad' }));

async function start() {
  try {
    const who = await call('GET', '/session');
    session.actor = who.actor ?? null;
    session.role = who.role ?? null;
  } catch {
    // Without it the gateway itself refuses what this session may not do.
  }
  show();
}

start();
text(document.querySelector('.loading'), 'Loading…');

// What wants attention whatever view is open: alerts that fire or are about to.

import { h, keyed, text } from './dom.js';
import { data } from './api.js';
import { badge, rebadge, say } from './talk.js';
import { duration } from './format.js';

const ORDER = { firing: 0, pending: 1 };

/** A list of alerts; not there at all while none fires. */
export function notable() {
  const list = h('ul', { class: 'alerts' });
  const node = h('section', { 'aria-label': 'Alerts that fire', hidden: true }, list);
  let firing = null;
  return {
    node,
    update() {
      const alerts = (data('/alerts')?.alerts ?? [])
        .filter(alert => alert.state in ORDER)
        .sort((a, b) => ORDER[a.state] - ORDER[b.state]);
      node.hidden = alerts.length === 0;
      keyed(list, alerts, alert => alert.alert, () => {
        const state = badge('warn', '');
        const words = h('span', {});
        const since = h('span', { class: 'muted' });
        return {
          node: h('li', {}, state, words, since),
          update(alert) {
            rebadge(state, alert.state === 'firing' ? 'bad' : 'warn', `${alert.alert} ${alert.state}`);
            text(words, alert.summary ?? '');
            text(since, alert.since ? `for ${duration((Date.now() - Date.parse(alert.since)) / 1000)}` : '');
          },
        };
      });
      const now = alerts.filter(alert => alert.state === 'firing').map(alert => alert.alert);
      const added = now.filter(name => firing && !firing.includes(name));
      if (added.length > 0) say(`Alert: ${added.join(', ')}.`);
      if (data('/alerts')) firing = now;
    },
  };
}

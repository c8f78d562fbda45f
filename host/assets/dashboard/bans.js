// Who is banned: to look at, to ban and to pardon.

import { h, text } from './dom.js';
import { call, data, refresh } from './api.js';
import { button, confirm, empty, lasting, notice } from './talk.js';
import { ago, count, duration } from './format.js';
import { rows, section } from './table.js';

/** The section. It needs `/bans` and `/protection`. */
export function bans() {
  const policy = h('p', { class: 'muted' });
  const none = empty('Loading…');
  const address = h('input', { type: 'text', id: 'ban-address', autocomplete: 'off', spellcheck: 'false', placeholder: '203.0.113.7' });
  const minutes = h('input', { type: 'number', id: 'ban-minutes', min: '1', step: '1', value: '60', class: 'weight' });
  const reason = h('input', { type: 'text', id: 'ban-reason', autocomplete: 'off', maxlength: '200' });
  const table = rows('Addresses that are banned', ['Address', 'Ends', 'Why', 'Offences', 'Times', 'Lift'], 'stack');
  const post = async json => {
    const answer = await call('POST', '/bans', { json });
    refresh('/bans', '/protection');
    return answer;
  };
  const lift = async wanted => {
    const answer = await call('DELETE', `/bans/${encodeURIComponent(wanted)}`);
    refresh('/bans', '/protection');
    return answer;
  };
  const submit = async () => {
    const json = { address: address.value.trim(), seconds: Math.round(Number(minutes.value) * 60), ...(reason.value.trim() ? { reason: reason.value.trim() } : {}) };
    if (!json.address || !(json.seconds > 0)) {
      notice('Write an address and for how many minutes.', { kind: 'warning' });
      (json.address ? minutes : address).focus();
      return;
    }
    const wide = json.address.includes(':') ? ' In IPv6 its whole /64 is kept out: that is one customer.' : '';
    const answer = await confirm({ title: `Ban ${json.address}?`, body: `All its requests are refused for ${duration(json.seconds)}.${wide}`, press: 'Ban', kind: 'danger', run: () => post(json) });
    if (!answer) return;
    address.value = reason.value = '';
    notice(`${json.address} is banned for ${duration(json.seconds)}.${lasting(answer)}`, { undoes: `lift the ban on ${json.address}`, undo: async () => { await lift(json.address); notice(`${json.address} is no longer banned.`); } });
  };
  // It sends the form, so that Enter in a field does, too.
  const ban = button('Ban', { type: 'submit', kind: 'danger', need: 'operate', press: submit });

  /** Lifts a ban as it is when that is asked for: it may have been made anew since it was shown first. */
  const pardon = async name => {
    const one = data('/bans')?.bans.find(other => other.address === name);
    const answer = await confirm({ title: `Lift the ban on ${name}?`, body: 'It may send requests again at once.', press: 'Lift', run: () => lift(name) });
    if (!answer) return;
    const seconds = one ? Math.round((Date.parse(one.until) - Date.now()) / 1000) : 0;
    notice(`${name} is no longer banned.${lasting(answer)}`, seconds > 0 ? {
      undoes: `ban ${name} again`,
      undo: async () => {
        await post({ address: name, seconds, ...(one.reason ? { reason: one.reason.slice(0, 200) } : {}) });
        notice(`${name} is banned again.`);
      },
    } : {});
  };

  return {
    node: section('bans', 'Bans', policy, none, table.node,
      h('form', { class: 'fields', 'aria-label': 'Ban an address', onsubmit: event => event.preventDefault() },
        h('div', { class: 'field grow' }, h('label', { for: 'ban-address' }, 'Address'), address), h('div', { class: 'field' }, h('label', { for: 'ban-minutes' }, 'Minutes'), minutes),
        h('div', { class: 'field grow' }, h('label', { for: 'ban-reason' }, 'Reason (optional)'), reason), ban)),
    update() {
      const after = data('/protection')?.bans?.offences;
      if (data('/protection')) {
        text(policy, after
          ? `${count(after.after)} offences (answers with ${after.statuses.join(', ') || 'no status'}) within ${duration(after.within_seconds)} are a ban of ${duration(after.for_seconds)}, each further one twice as long, up to ${duration(after.for_seconds_max)}. ${after.refuse === 'close' ? 'Connections are closed without a word.' : 'The answer is 403.'}`
          : 'Nobody is banned for offences: the configuration has no “bans”. Who is banned here by hand is kept out all the same.');
      }
      const all = data('/bans')?.bans;
      if (!all) return;
      none.hidden = all.length > 0;
      text(none, 'Nobody is banned.');
      table.fill(all, one => one.address, one => [one.address, one.until ? ago(one.until) : 'never', one.reason || '–', one.offences ? count(one.offences) : 'by hand', count(one.times), null],
        one => button('Lift', { kind: 'small', need: 'operate', name: `Lift the ban on ${one.address}`, press: () => pardon(one.address) }));
    },
  };
}

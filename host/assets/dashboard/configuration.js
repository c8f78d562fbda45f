// The configuration as one document: edited, validated, compared, applied, and taken back. Secrets stay covered: what is sent back as it
// was shown stays what it was.

import { attribute, h, keyed, text } from './dom.js';
import { call, data, tell } from './api.js';
import { badge, button, confirm, empty, lasting, notice, problems, say } from './talk.js';
import { ago, when } from './format.js';
import { changed, rollBack } from './changes.js';
import { editor } from './editor.js';
import { diff, pretty } from './diff.js';

/** The view. */
export function configuration() {
  let base = null; // What the editor started from: `{ document, text, tag }`.
  let busy = false;
  const note = h('span', { class: 'muted', 'aria-live': 'polite' });
  const about = h('p', { class: 'muted' });
  const result = h('div', { class: 'result' });
  const edit = editor({
    label: 'Document', rows: 24,
    changed: () => {
      result.replaceChildren();
      mark();
    },
  });
  const edited = () => base !== null && edit.text !== base.text;
  const mark = () => text(note, edited() ? 'Edited, not applied.' : '');

  async function load(keep) {
    const answer = await call('GET', '/configuration');
    const next = { document: answer.document, text: pretty(answer.document), tag: answer.tag };
    const mine = edit.text;
    base = next;
    if (!keep) edit.text = next.text;
    else edit.text = mine;
    text(about, `${answer.file ?? 'No file'}${answer.writable === false ? ' (not writable: changes will not survive a restart)' : ''}. Secrets are shown as “(redacted)” and stay what they are.`);
    mark();
  }

  /** Runs one thing at a time, and shows what goes wrong with it. */
  async function doing(what) {
    if (busy) return;
    busy = true;
    try {
      await what();
    } catch (error) {
      if (error.problems?.length) edit.problems(error.problems);
      result.replaceChildren(problems(error));
    } finally {
      busy = false;
    }
  }

  const validate = () => doing(async () => {
    const document = edit.read();
    if (document === undefined) return;
    const answer = await call('POST', '/configuration/validate', { json: { document } });
    edit.problems(answer.problems ?? []);
    const number = answer.problems?.length ?? 0;
    result.replaceChildren(h('p', { role: 'status' }, answer.valid
      ? badge('ok', 'Valid') : badge('bad', `${number} ${number === 1 ? 'problem' : 'problems'}, listed under the document`)));
  });

  const compare = () => doing(async () => {
    const document = edit.read();
    if (document === undefined) return;
    const answer = await call('POST', '/configuration/diff', { json: { document } });
    result.replaceChildren(...changes(answer), diff(base.text, pretty(document), 'From the document that serves to yours'));
    say(`${(answer.changes ?? []).length} changes.`);
  });

  const apply = () => doing(async () => {
    const document = edit.read();
    if (document === undefined) return;
    if (pretty(document) === base.text) {
      notice('Nothing differs from what serves.', { kind: 'warning' });
      return;
    }
    const checked = await call('POST', '/configuration/validate', { json: { document } });
    if (!checked.valid) {
      edit.problems(checked.problems ?? []);
      result.replaceChildren(h('p', { class: 'trouble', role: 'alert' }, 'It is not valid, and was not applied. The problems are listed under the document.'));
      return;
    }
    const planned = await call('POST', '/configuration/diff', { json: { document } });
    const before = (await call('GET', '/configuration/history')).versions?.find(one => one.current);
    let conflict = null;
    const answer = await confirm({
      title: 'Apply this configuration?',
      body: [...changes(planned), h('details', {}, h('summary', {}, 'Line by line'), diff(base.text, pretty(document), 'Line by line'))],
      press: 'Apply',
      run: async () => {
        try {
          return await call('PUT', '/configuration', { json: { document }, match: base.tag });
        } catch (error) {
          if (error.status !== 412) throw error;
          conflict = error;
          return { conflict: true };
        }
      },
    });
    if (!answer) return;
    if (conflict) {
      await clash(document);
      return;
    }
    result.replaceChildren();
    await load();
    changed('/configuration');
    notice(`The configuration is applied (generation ${answer.generation ?? '–'}).${lasting(answer)}`, before && {
      undoes: 'take the configuration before',
      undo: async () => {
        await call('POST', '/configuration/rollback', { json: { id: before.id } });
        changed();
        await load();
        notice('The configuration is what it was.');
      },
    });
  });

  /** Somebody else was faster: both changes are shown, and the writer decides. */
  async function clash(mine) {
    const old = base;
    await load(true);
    const theirs = base;
    result.replaceChildren(h('div', { class: 'panel clash', role: 'alert' },
      h('h3', {}, 'Somebody else has changed the configuration meanwhile'),
      h('p', {}, 'Nothing of yours was applied, and it still stands in the editor. What has changed since you opened the document:'),
      diff(old.text, theirs.text, 'What the other change did'),
      h('p', {}, 'If you apply now, what serves becomes exactly your document, without the other change unless you write it in.'),
      h('div', { class: 'toolbar' },
        button('Compare mine with what serves now', { press: compare }),
        button('Drop mine and load what serves', { press: () => doing(async () => { await load(); result.replaceChildren(); }) }))));
    mark();
    return mine;
  }

  const past = history(() => doing(async () => {
    if (!edited()) await load();
    else notice('The document in the editor is yours and not what serves. Compare before you apply.', { kind: 'warning' });
  }));
  doing(load.bind(null, false));

  return {
    title: 'Configuration',
    node: h('div', { class: 'view' },
      h('h1', { tabindex: '-1' }, 'Configuration'),
      h('section', { 'aria-labelledby': 'document-title' }, h('h2', { id: 'document-title' }, 'Document'), about,
        h('div', { class: 'panel' }, edit.node,
          h('div', { class: 'toolbar' },
            button('Validate', { need: 'admin', press: validate }), button('Diff', { need: 'admin', press: compare }), button('Apply', { kind: 'primary', need: 'admin', press: apply }),
            button('Start over', { press: () => { if (base) edit.text = base.text; result.replaceChildren(); mark(); } }), note)),
        result),
      past.node),
    needs: { '/configuration/history': 5000 },
    update: path => {
      if (path === '/configuration/history' || path === '') past.update();
    },
    leave: () => !edited() || window.confirm('The configuration was edited and not applied. Leave?'),
  };
}

function value(of) {
  const words = of === undefined || of === null ? '–' : JSON.stringify(of);
  return words.length > 120 ? `${words.slice(0, 117)}…` : words;
}

/** What the gateway says of the difference. */
function changes(answer) {
  const all = answer.changes ?? [];
  if (all.length === 0) return [empty('The gateway sees no difference.')];
  const parts = [h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Changes of the document' }, h('table', { class: 'changes' }, h('caption', {}, `${all.length} ${all.length === 1 ? 'change' : 'changes'}`),
    h('thead', {}, h('tr', {}, ['Where', 'Before', 'After'].map(term => h('th', { scope: 'col' }, term)))),
    h('tbody', {}, all.slice(0, 50).map(one => (typeof one === 'string' ? h('tr', {}, h('th', { scope: 'row', colspan: '3' }, one)) : h('tr', {}, h('th', { scope: 'row', class: 'mono' }, one.path ?? tell(one)),
      h('td', { class: 'mono gone' }, value(one.before)), h('td', { class: 'mono come' }, value(one.after))))))))];
  if (answer.restart_needed?.length) {
    parts.push(h('p', { class: 'caution' }, badge('warn', 'Restart needed'), ` ${answer.restart_needed.join(', ')} take effect when the gateway starts again.`));
  }
  return parts;
}

function history(rolled) {
  const body = h('tbody', {});
  const shown = h('div', {});
  const none = empty('No earlier versions.');
  let shownMax = 8;
  const more = button('Show older versions', { kind: 'small', press: () => { shownMax += 50; self.update(); } });
  const self = {
    node: h('section', { 'aria-labelledby': 'history-title' }, h('h2', { id: 'history-title' }, 'History'),
      h('div', { class: 'panel' }, none, h('table', { class: 'stack' }, h('caption', {}, 'Configurations that served, newest first'),
        h('thead', {}, h('tr', {}, ['Version', 'When', 'By', 'What', 'Use'].map(term => h('th', { scope: 'col' }, term)))), body), h('div', {}, more), shown)),
    update() {
      const versions = data('/configuration/history')?.versions ?? [];
      none.hidden = versions.length > 0;
      more.hidden = versions.length <= shownMax;
      keyed(body, versions.slice(0, shownMax), one => one.id, version => {
        let now = version;
        const since = h('td', { 'data-term': 'When', title: when(version.at) });
        const current = badge('ok', 'current');
        const show = button('Show what differs', {
          kind: 'small', name: `Show what differs in version ${version.id}`,
          press: async () => {
            try {
              const [old, serving] = await Promise.all([call('GET', `/configuration/history/${encodeURIComponent(version.id)}`), call('GET', '/configuration')]);
              shown.replaceChildren(diff(pretty(serving.document), pretty(old.document), `From what serves to version ${version.id}`));
              shown.querySelector('[tabindex]')?.focus();
            } catch (error) {
              shown.replaceChildren(problems(error));
            }
          },
        });
        const back = button('Roll back', {
          kind: 'small', need: 'admin', name: `Roll back to version ${version.id}`,
          press: async () => {
            if (await rollBack(now, ago(now.at))) rolled();
          },
        });
        const node = h('tr', {}, h('th', { scope: 'row', class: 'mono' }, String(version.id)), since, h('td', { 'data-term': 'By' }, version.by ?? '–'), h('td', { 'data-term': 'What' }, version.action ?? '–'),
          h('td', { 'data-term': 'Use' }, h('span', { class: 'toolbar' }, current, show, back)));
        return {
          node,
          update(next) {
            now = next;
            text(since, ago(next.at));
            current.hidden = !next.current;
            back.hidden = show.hidden = Boolean(next.current);
            attribute(node, 'class', next.current ? 'now' : null);
          },
        };
      });
    },
  };
  return self;
}

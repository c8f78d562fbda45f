// What the page says and asks: confirmations, notices with undo, words for screen readers, and controls that say why they may not be used.

import { h, text, fresh } from './dom.js';
import { Refused, tell } from './api.js';

const ROLES = ['read', 'operate', 'admin'];

/** Who is logged in. Until that is known everything may be tried; the gateway decides anyway. */
export const session = { actor: null, role: null };

/** Why this session may not do what takes a role; nothing if it may. */
export function forbidden(need) {
  if (!session.role || ROLES.indexOf(session.role) >= ROLES.indexOf(need)) return null;
  return `This takes the role “${need}”; this session has “${session.role}”.`;
}

/** Says something to whoever does not see the page. */
export function say(words) {
  const said = document.getElementById('said');
  said.textContent = '';
  // A region that gets the same text again stays silent.
  setTimeout(() => { said.textContent = words; }, 30);
}

/** A button. `need` is the role that it takes: where the session has less it stays reachable, and pressing it tells why. */
export function button(label, { need, press, kind = '', name, description, ...rest } = {}) {
  const why = need ? forbidden(need) : null;
  return h('button', {
    type: 'button',
    class: `button ${kind}`,
    'aria-label': name,
    'aria-disabled': why ? 'true' : null,
    title: why ?? description,
    ...rest,
    onclick: event => {
      const refused = (need && forbidden(need)) || event.currentTarget.dataset.why;
      if (refused) notice(refused, { kind: 'warning' });
      else press(event);
    },
  }, label);
}

/** Lets a button be pressed, or not and why. */
export function allow(node, why) {
  node.dataset.why = why ?? '';
  if (why) {
    node.setAttribute('aria-disabled', 'true');
    node.title = why;
  } else if (node.hasAttribute('aria-disabled')) {
    node.removeAttribute('aria-disabled');
    node.removeAttribute('title');
  }
}

const NOTICES_MAX = 3;
const PASSING_MS = 6_000;

/** A message that stays until it is closed, with an `undo` where there is one. */
export function notice(words, { kind = 'done', undo, undoes } = {}) {
  const notices = document.getElementById('notices');
  const node = h('div', { class: `notice ${kind}` }, h('p', {}, words));
  const close = () => {
    const had = node.contains(document.activeElement);
    node.remove();
    if (had) (notices.querySelector('button') ?? document.getElementById('main')).focus();
  };
  if (undo) {
    const back = button('Undo', {
      name: undoes ? `Undo: ${undoes}` : undefined,
      press: async () => {
        back.disabled = true;
        try {
          await undo();
          close();
        } catch (error) {
          back.disabled = false;
          notice(`It could not be undone. ${error.message}`, { kind: 'bad' });
        }
      },
    });
    node.append(back);
  }
  // What cannot be acted on is said, and goes by itself; what can be undone stays.
  if (!undo && kind === 'done') setTimeout(close, PASSING_MS);
  node.append(button('×', { kind: 'quiet square', name: 'Close this message', press: close }));
  notices.prepend(node);
  while (notices.children.length > NOTICES_MAX) notices.lastElementChild.remove();
  say(undo ? `${words} It can be undone: the button is in the region “Changes”.` : words);
}

/** Problems as a list that is read out when it appears. */
export function problems(error) {
  const node = h('div', { class: 'trouble', role: 'alert' }, h('p', {}, error.message));
  if (error instanceof Refused && error.problems.length > 0) {
    node.append(h('ul', {}, error.problems.map(problem => h('li', {}, tell(problem)))));
  }
  return node;
}

/** Asks before something is done, and does it: `run` is called while the dialog is open, and what the gateway refuses is shown in it.
 * `typed` is a word that must be written first. Gives what `run` gave, or nothing if it was cancelled. */
export function confirm({ title, body = [], press, kind = 'primary', typed, run }) {
  return new Promise(resolve => {
    const before = document.activeElement;
    const heading = fresh('title');
    const about = fresh('about');
    const trouble = h('div', {});
    const go = h('button', { type: 'submit', class: `button ${kind}` }, press);
    const cancel = h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel');
    const word = typed ? h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', id: fresh('typed') }) : null;
    let result;
    const form = h('form', {
      onsubmit: async event => {
        event.preventDefault();
        if (word && word.value.trim() !== typed) {
          trouble.replaceChildren(h('p', { class: 'trouble', role: 'alert' }, `Write “${typed}” to go on.`));
          word.focus();
          return;
        }
        go.disabled = cancel.disabled = true;
        trouble.replaceChildren();
        try {
          result = (await run()) ?? true;
          dialog.close();
        } catch (error) {
          trouble.replaceChildren(problems(error));
          go.disabled = cancel.disabled = false;
          cancel.focus();
        }
      },
    },
    h('h2', { id: heading }, title),
    h('div', { id: about }, [body].flat().map(part => (typeof part === 'string' ? h('p', {}, part) : part))),
    word && h('p', {}, h('label', { for: word.id }, `Write “${typed}” to confirm`), word),
    trouble,
    h('div', { class: 'actions' }, cancel, go));
    const dialog = h('dialog', { 'aria-labelledby': heading, 'aria-describedby': about }, form);
    dialog.addEventListener('cancel', event => { if (go.disabled) event.preventDefault(); });
    dialog.addEventListener('close', () => {
      dialog.remove();
      if (before?.isConnected) before.focus({ preventScroll: true });
      else document.getElementById('main').focus({ preventScroll: true });
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    (word ?? (kind === 'danger' ? cancel : go)).focus();
  });
}

/** What to show where nothing is. */
export function empty(words) {
  return h('p', { class: 'empty' }, words);
}

/** A coloured word, with a shape, since not everybody sees the colour. */
export function badge(kind, words) {
  const shape = { ok: '●', warn: '▲', bad: '■', off: '○' }[kind] ?? '●';
  return h('span', { class: `badge ${kind}` }, h('span', { 'aria-hidden': 'true', class: 'shape' }, shape), h('span', { class: 'word' }, words));
}

/** Changes a badge that is there. */
export function rebadge(node, kind, words) {
  if (!node.classList.contains(kind)) {
    node.className = `badge ${kind}`;
    node.querySelector('.shape').textContent = { ok: '●', warn: '▲', bad: '■', off: '○' }[kind] ?? '●';
  }
  text(node.querySelector('.word'), words);
}

/** What the note of a change adds to its message. */
export function lasting(answer) {
  const note = answer?.note ? ` ${answer.note[0].toUpperCase()}${answer.note.slice(1)}.` : '';
  return answer?.survives_restart === false && !/restart/.test(note) ? ` It does not survive a restart.${note}` : note;
}

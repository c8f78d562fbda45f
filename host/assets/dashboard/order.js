// Changing the order of the chain: by dragging, by buttons, and by Alt with the arrow keys. Nothing happens to the gateway until the
// order is applied.

import { attribute } from './dom.js';
import { forbidden, notice, say } from './talk.js';

/** Keeps a wanted order beside the one that is. `list` holds the rows, each with `data-name`; `changed` is called when the order changes. */
export function reordering(list, changed) {
  let wanted = null;
  let current = [];
  let dragged = null;

  const order = () => wanted ?? current;
  const same = () => order().every((name, at) => name === current[at]);

  function move(name, to, how) {
    const names = [...order()];
    const from = names.indexOf(name);
    const place = Math.max(0, Math.min(names.length - 1, to));
    if (from < 0 || from === place) {
      if (how === 'key') say(place === 0 ? `${name} is the first already.` : `${name} is the last already.`);
      return;
    }
    names.splice(from, 1);
    names.splice(place, 0, name);
    wanted = names;
    if (same()) wanted = null;
    changed();
    say(`${name} is now ${place + 1} of ${names.length}. ${wanted ? 'Not yet applied.' : 'The order is as it was.'}`);
  }

  const row = target => target.closest?.('[data-name]');
  list.addEventListener('dragstart', event => {
    const from = row(event.target);
    if (!from || from.getAttribute('draggable') !== 'true') return;
    dragged = from.dataset.name;
    event.dataTransfer.effectAllowed = 'move';
    event.dataTransfer.setData('text/plain', dragged);
    from.classList.add('dragged');
  });
  list.addEventListener('dragover', event => {
    const over = row(event.target);
    if (!dragged || !over) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'move';
    for (const other of list.children) attribute(other, 'data-over', other === over && over.dataset.name !== dragged);
  });
  list.addEventListener('drop', event => {
    const over = row(event.target);
    if (!dragged || !over) return;
    event.preventDefault();
    move(dragged, order().indexOf(over.dataset.name), 'drag');
  });
  list.addEventListener('dragend', () => {
    dragged = null;
    for (const other of list.children) {
      attribute(other, 'data-over', null);
      other.classList.remove('dragged');
    }
  });
  list.addEventListener('keydown', event => {
    if (!event.altKey || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
    const from = row(event.target);
    if (!from) return;
    event.preventDefault();
    const refused = forbidden('admin');
    if (refused) {
      notice(refused, { kind: 'warning' });
      return;
    }
    move(from.dataset.name, order().indexOf(from.dataset.name) + (event.key === 'ArrowUp' ? -1 : 1), 'key');
  });

  return {
    move: (name, by) => move(name, order().indexOf(name) + by, 'key'),
    order,
    /** The order that is. One that is wanted stays, as long as it names the same plugins. */
    set(names) {
      current = names;
      if (wanted && (wanted.length !== names.length || !wanted.every(name => names.includes(name)))) {
        wanted = null;
        say('The plugins have changed. Your order was dropped.');
      }
      if (wanted && same()) wanted = null;
    },
    wanted: () => wanted,
    current: () => current,
    drop() {
      wanted = null;
      changed();
    },
  };
}

// A JSON editor: a textarea with line numbers, problems at their lines, and a list of problems that leads to them.

import { attribute, h, keyed, fresh } from './dom.js';
import { tell } from './api.js';

/** Where every value of a JSON text stands: its path (`$.routes[0].cache`) to its line, from 0. Reads as far as the text is JSON. */
export function places(source) {
  const lines = new Map();
  let at = 0;
  let line = 0;
  const space = () => {
    while (at < source.length && /\s/.test(source[at])) {
      if (source[at] === '\n') line += 1;
      at += 1;
    }
  };
  const word = () => {
    const start = at;
    at += 1;
    while (at < source.length && source[at] !== '"') at += source[at] === '\\' ? 2 : 1;
    at += 1;
    try {
      return JSON.parse(source.slice(start, at));
    } catch {
      return source.slice(start + 1, at - 1);
    }
  };
  const value = path => {
    space();
    if (!lines.has(path)) lines.set(path, line);
    const open = source[at];
    if (open === '"') {
      word();
    } else if (open === '{' || open === '[') {
      at += 1;
      for (let number = 0; at < source.length; number += 1) {
        space();
        if (source[at] === '}' || source[at] === ']') break;
        let inner = `${path}[${number}]`;
        if (open === '{') {
          if (source[at] !== '"') return false;
          const start = line;
          inner = `${path}.${word()}`;
          lines.set(inner, start);
          space();
          if (source[at] !== ':') return false;
          at += 1;
        }
        if (value(inner) === false) return false;
        space();
        if (source[at] === ',') at += 1;
      }
      at += 1;
    } else {
      const start = at;
      while (at < source.length && !/[\s,\]}]/.test(source[at])) at += 1;
      if (at === start) return false;
    }
    return true;
  };
  value('$');
  return lines;
}

/** The line of a path, or of the nearest value around it. */
export function lineOf(lines, path) {
  let rest = (path ?? '$').replaceAll(/\["([^"]*)"\]/g, '.$1');
  for (;;) {
    if (lines.has(rest)) return lines.get(rest);
    const shorter = rest.replace(/(\.[^.[\]]*|\[\d+\])$/, '');
    if (shorter === rest || shorter === '') return 0;
    rest = shorter;
  }
}

/** Where a text stops to be JSON: `{ line, what }`, or nothing. */
function broken(source) {
  try {
    JSON.parse(source);
    return null;
  } catch (error) {
    const position = /position (\d+)/.exec(error.message);
    const line = position ? source.slice(0, Number(position[1])).split('\n').length - 1 : source.split('\n').length - 1;
    return { line, what: `This is not JSON: ${error.message.replace(/^JSON\.parse: /, '').replace(/ \(line .*\)$/, '')}` };
  }
}

/** An editor. `label` names it, `changed` is called when its text changes; `rows` is its height in lines. */
export function editor({ label, rows = 16, changed, readonly = null }) {
  const id = fresh('editor');
  const list = h('ul', { class: 'problems', id: `${id}-problems` });
  const gutter = h('div', { class: 'gutter', 'aria-hidden': 'true' });
  const area = h('textarea', {
    id, rows, spellcheck: 'false', wrap: 'off', autocomplete: 'off', autocapitalize: 'off', 'aria-describedby': `${id}-problems ${id}-how`, readonly,
    oninput: () => {
      number();
      show([]);
      changed?.();
    },
    onscroll: () => { gutter.scrollTop = area.scrollTop; },
  });
  const node = h('div', { class: 'editor' },
    h('label', { for: id }, label),
    h('div', { class: 'sheet' }, gutter, area),
    h('p', { id: `${id}-how`, class: 'unseen' }, 'JSON. Tab leaves the editor.'),
    h('div', { 'aria-live': 'polite' }, list));
  let marked = new Set();

  function number() {
    const count = area.value.split('\n').length;
    while (gutter.children.length > count) gutter.lastElementChild.remove();
    while (gutter.children.length < count) gutter.append(h('span', {}, String(gutter.children.length + 1)));
    [...gutter.children].forEach((mark, at) => attribute(mark, 'class', marked.has(at) ? 'wrong' : null));
  }

  function go(line) {
    const lines = area.value.split('\n');
    const start = lines.slice(0, line).join('\n').length + (line > 0 ? 1 : 0);
    area.focus();
    area.setSelectionRange(start, start + (lines[line]?.length ?? 0));
    const height = area.scrollHeight / Math.max(1, lines.length);
    area.scrollTop = Math.max(0, height * line - area.clientHeight / 2);
    gutter.scrollTop = area.scrollTop;
  }

  function show(found) {
    marked = new Set(found.map(one => one.line));
    attribute(area, 'aria-invalid', found.length > 0 ? 'true' : null);
    keyed(list, found, one => `${one.line} ${one.what}`, one => ({
      node: h('li', {}, h('button', { type: 'button', class: 'button small', onclick: () => go(one.line), 'aria-label': `Go to line ${one.line + 1}` }, `Line ${one.line + 1}`), h('span', {}, one.what)),
    }));
    number();
  }

  return {
    node,
    area,
    get text() { return area.value; },
    set text(value) {
      area.value = value;
      show([]);
    },
    /** The value of the text; nothing, with the problem shown, if it is not JSON. */
    read() {
      const wrong = broken(area.value);
      show(wrong ? [wrong] : []);
      if (wrong) {
        go(wrong.line);
        return undefined;
      }
      return JSON.parse(area.value);
    },
    /** Shows problems of the gateway at their lines. `root` is the path of what is edited. */
    problems(all, root = '$') {
      const lines = places(area.value);
      show(all.map(problem => {
        const path = typeof problem === 'string' ? (/^\$[\w.[\]-]*/.exec(problem)?.[0] ?? '$') : problem.path;
        const inner = root !== '$' && path?.startsWith(root) ? `$${path.slice(root.length)}` : path;
        return { line: lineOf(lines, inner), what: tell(problem) };
      }));
    },
  };
}

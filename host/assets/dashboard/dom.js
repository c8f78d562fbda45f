// Elements without templates: everything that came from the gateway enters the page as text, never as markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.setAttribute('class', value);
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null && child !== false) node.append(child);
  }
  return node;
}

/** An element. A property that starts with `on` is a listener; other properties are attributes; children that are not nodes are text. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Sets a node's text if it is another: what does not change is neither painted nor read out again. */
export function text(node, value) {
  const wanted = String(value);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Sets an attribute if it is another; `null` and `false` take it away. */
export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value === true ? '' : value)) node.setAttribute(name, value === true ? '' : value);
}

/** Makes the parent's children those of `items`: what was there stays there, so that focus and open details survive every update.
 * `make(item)` gives `{ node, update(item) }`. */
export function keyed(parent, items, key, make) {
  parent.parts ??= new Map();
  const parts = parent.parts;
  const wanted = new Set(items.map(key));
  for (const [name, part] of parts) {
    if (wanted.has(name)) continue;
    part.node.remove();
    parts.delete(name);
  }
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  let place = parent.firstChild;
  for (const item of items) {
    const name = key(item);
    let part = parts.get(name);
    if (!part) {
      part = make(item);
      parts.set(name, part);
    }
    if (part.node === place) place = place.nextSibling;
    else parent.insertBefore(part.node, place);
    part.update?.(item);
  }
  // Moving a node takes the focus away from it.
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

/** Whether somebody points at something in the node or has the focus in it: then nothing in it should move. */
export function inUse(node) {
  return node.matches(':hover') || node.contains(document.activeElement);
}

let numbers = 0;

/** An id that nothing else has. */
export function fresh(word) {
  numbers += 1;
  return `${word}-${numbers}`;
}

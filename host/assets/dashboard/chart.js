// Small line charts, drawn by hand. What they show stands in words beside them and in a table; the drawing itself is one image with a
// text alternative.

import { attribute, h, s, text } from './dom.js';

const WIDTH = 240;
const HEIGHT = 48;

/** The next round number above, so that the scale does not move with every figure. */
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 5, 7.5, 10].map(step => step * power).find(step => step >= value) ?? value;
}

/** A chart of one series. `kind` names its colour, `unit` writes a value. */
export function chart({ label, unit, kind }) {
  const area = s('path', { class: 'area' });
  const line = s('path', { class: 'line', 'vector-effect': 'non-scaling-stroke' });
  const cross = s('line', { class: 'cross', y1: 0, y2: HEIGHT, x1: -9, x2: -9, 'vector-effect': 'non-scaling-stroke' });
  const image = s('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', class: `chart ${kind}` }, area, line, cross);
  const top = h('span', { class: 'top' });
  const here = h('span', { class: 'here' });
  const node = h('div', { class: 'plot' }, image, h('div', { class: 'axis', 'aria-hidden': 'true' }, top, here));
  let values = [];
  let step = 1;
  image.addEventListener('pointermove', event => {
    if (values.length < 2) return;
    const box = image.getBoundingClientRect();
    const at = Math.min(values.length - 1, Math.max(0, Math.round(((event.clientX - box.left) / box.width) * (values.length - 1))));
    const x = (at / (values.length - 1)) * WIDTH;
    cross.setAttribute('x1', x);
    cross.setAttribute('x2', x);
    text(here, `${unit(values[at])}, ${(values.length - 1 - at) * step} s ago`);
  });
  image.addEventListener('pointerleave', () => {
    cross.setAttribute('x1', -9);
    cross.setAttribute('x2', -9);
    text(here, '');
  });
  return {
    node,
    update(next, seconds) {
      values = next;
      step = seconds;
      const there = values.filter(value => typeof value === 'number');
      const most = Math.max(0, ...there);
      const scale = ceiling(most);
      const x = at => (values.length > 1 ? (at / (values.length - 1)) * WIDTH : 0).toFixed(1);
      // A second without requests has no latency: the line has a gap there.
      const stretches = [];
      values.forEach((value, at) => {
        if (typeof value !== 'number') return;
        if (at === 0 || typeof values[at - 1] !== 'number') stretches.push([]);
        stretches.at(-1).push([x(at), (HEIGHT - 1 - (value / scale) * (HEIGHT - 4)).toFixed(1)]);
      });
      const path = stretch => stretch.map(point => point.join(' ')).join('L');
      attribute(line, 'd', stretches.map(stretch => `M${path(stretch)}${stretch.length === 1 ? 'h1' : ''}`).join(''));
      attribute(area, 'd', stretches.map(stretch => `M${stretch[0][0]} ${HEIGHT}L${path(stretch)}L${stretch.at(-1)[0]} ${HEIGHT}Z`).join(''));
      text(top, unit(scale));
      const now = values.at(-1);
      attribute(image, 'aria-label', there.length === 0
        ? `${label}: nothing yet`
        : `${label}, last ${values.length * step} seconds: now ${unit(now)}, at least ${unit(Math.min(...there))}, at most ${unit(most)}`);
    },
  };
}

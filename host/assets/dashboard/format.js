// Figures as people read them: three digits that mean something, a unit, and never a jump from one unit to another by rounding.

const many = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const NONE = '–';

const known = value => typeof value === 'number' && Number.isFinite(value);

function digits(value) {
  if (value >= 99.95) return many.format(value);
  if (value >= 9.995) return value.toFixed(1);
  return value.toFixed(2);
}

/** A whole number. */
export function count(value) {
  if (!known(value)) return NONE;
  return value >= 1e6 ? compact.format(value) : many.format(value);
}

/** Milliseconds, in the unit that suits. */
export function ms(value) {
  if (!known(value)) return NONE;
  if (value === 0) return '0 ms';
  if (value < 0.9995) return `${value < 0.00995 ? (value * 1000).toFixed(1) : many.format(value * 1000)} µs`;
  if (value < 999.5) return `${digits(value)} ms`;
  return `${digits(value / 1000)} s`;
}

/** Something per second. */
export function rate(value) {
  if (!known(value)) return NONE;
  if (value === 0) return '0/s';
  if (value < 0.01) return '<0.01/s';
  return `${value >= 1e4 ? compact.format(value) : digits(value)}/s`;
}

/** A part of one, in percent. */
export function percent(value) {
  if (!known(value)) return NONE;
  const parts = value * 100;
  if (parts > 0 && parts < 1) return '<1 %';
  if (parts > 99 && parts < 100) return '99 %';
  return `${Math.round(parts)} %`;
}

/** Bytes, by powers of 1024. */
export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${many.format(value)} B` : `${digits(value)} ${units[unit]}`;
}

/** A length of time in seconds: its two largest units. */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[Math.floor(whole / 86400), 'd'], [Math.floor(whole / 3600) % 24, 'h'], [Math.floor(whole / 60) % 60, 'min'], [whole % 60, 's']];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  return parts.slice(first, first + 2).filter(([value], at) => at === 0 || value > 0).map(([value, unit]) => `${value} ${unit}`).join(' ');
}

/** How long ago a moment was, or in how long it will be. */
export function ago(moment) {
  const then = Date.parse(moment);
  if (Number.isNaN(then)) return NONE;
  const seconds = (Date.now() - then) / 1000;
  if (Math.abs(seconds) < 2) return 'now';
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

/** A moment by the clock. */
export function when(moment) {
  const then = Date.parse(moment);
  return Number.isNaN(then) ? NONE : clock.format(then);
}

/** The first digits of a hash. */
export function short(hash) {
  return typeof hash === 'string' ? hash.replace(/^sha256:/, '').slice(0, 12) : NONE;
}

/** `1 plugin`, `2 plugins`. */
export function plural(value, one, more = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : more}`;
}

/** Names in a sentence. */
export function list(names) {
  if (names.length < 2) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

// The admin API: one way to ask it, one way to keep asking. Polls slow down when the gateway is away, stop when nobody looks, and lead
// back to the login when the session has ended.

/** What the gateway refused: `status`, `reason`, `detail`, and `problems` with `path`, `what` and `remedy`. */
export class Refused extends Error {
  constructor(status, problem) {
    const problems = Array.isArray(problem.problems) ? problem.problems : [];
    super(problem.detail || problems.map(tell).join('; ') || problem.title || `The gateway answered ${status}.`);
    this.status = status;
    this.reason = problem.reason;
    this.problems = problems;
  }
}

/** The gateway did not answer at all. */
export class Away extends Error {}

/** A problem as a sentence. */
export function tell(problem) {
  if (typeof problem === 'string') return problem;
  return [[problem.path, problem.what].filter(Boolean).join(': '), problem.remedy].filter(Boolean).join('; ');
}

let leaving = false;

function logInAgain() {
  if (leaving) return;
  leaving = true;
  location.replace(`/login${location.hash}`);
}

/** Asks once. `json` or `body` with `type` is what to send, `match` the ETag that must still be right. */
export async function call(method, path, { json, body, type, match, patience = 30_000 } = {}) {
  const headers = { accept: 'application/json' };
  if (json !== undefined) headers['content-type'] = 'application/json';
  else if (body !== undefined) headers['content-type'] = type;
  if (match) headers['if-match'] = match;
  let response, answer;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      body: json !== undefined ? JSON.stringify(json) : body,
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(patience),
    });
    answer = await response.text();
  } catch {
    throw new Away('The gateway does not answer.');
  }
  if (response.status === 401) {
    logInAgain();
    throw new Away('The session has ended.');
  }
  let value = {};
  try {
    value = answer ? JSON.parse(answer) : {};
  } catch {
    value = { detail: answer.slice(0, 500) };
  }
  if (!response.ok) throw new Refused(response.status, value);
  // The header is the precondition as the gateway compares it.
  const tag = response.headers.get('etag') ?? (typeof value.etag === 'string' ? `"${value.etag.replace(/^"|"$/g, '')}"` : null);
  return tag && typeof value === 'object' && value ? { ...value, tag } : value;
}

/** Ends the session. */
export async function logOut() {
  try {
    await fetch('/logout', { method: 'POST', credentials: 'same-origin', headers: { accept: 'application/json' } });
  } finally {
    leaving = true;
    location.replace('/login');
  }
}

/** What is known, by path: `{ data, error, at }`. */
export const known = new Map();

const polls = new Map();
const listeners = new Set();
const LONGEST_WAIT = 15_000;
let paused = false;

/** The last answer to a path, if there was one. */
export function data(path) {
  return known.get(path)?.data;
}

/** Calls `listener(path)` whenever something is known about a path. */
export function listen(listener) {
  listeners.add(listener);
}

function heard(path) {
  for (const listener of listeners) listener(path);
}

async function ask(poll) {
  clearTimeout(poll.timer);
  if (poll.asking) {
    // What is under way may be from before a change.
    poll.again = true;
    return;
  }
  poll.asking = true;
  const entry = known.get(poll.path) ?? { data: undefined, error: null, at: 0 };
  known.set(poll.path, entry);
  try {
    entry.data = await call('GET', poll.path, { patience: 10_000 });
    entry.error = null;
    entry.at = Date.now();
    poll.failures = 0;
  } catch (error) {
    entry.error = error;
    poll.failures += 1;
  }
  poll.asking = false;
  if (polls.get(poll.path) === poll) {
    const wait = poll.again ? 0 : Math.min(poll.every * 2 ** Math.min(poll.failures, 5), Math.max(LONGEST_WAIT, poll.every));
    poll.again = false;
    poll.next = Date.now() + wait;
    if (!stopped()) poll.timer = setTimeout(() => ask(poll), wait);
  }
  heard(poll.path);
}

function stopped() {
  return paused || document.hidden || leaving;
}

/** Keeps asking for these paths, each every so many milliseconds, and for no other. */
export function watch(wanted) {
  for (const [path, poll] of polls) {
    if (path in wanted) continue;
    clearTimeout(poll.timer);
    polls.delete(path);
  }
  for (const [path, every] of Object.entries(wanted)) {
    const poll = polls.get(path);
    if (poll) {
      poll.every = every;
      continue;
    }
    const added = { path, every, failures: 0, timer: 0, asking: false, again: false, next: 0 };
    polls.set(path, added);
    ask(added);
  }
}

/** Asks for these paths now: after a change. */
export function refresh(...paths) {
  for (const path of paths) {
    const poll = polls.get(path);
    if (poll) ask(poll);
  }
}

/** Stops or goes on asking. */
export function pause(wanted) {
  paused = wanted;
  resume();
}

/** Whether asking was stopped by hand. */
export function isPaused() {
  return paused;
}

/** Asks everything again, also what waits after a failure. */
export function retry() {
  for (const poll of polls.values()) ask(poll);
}

/** When a path will be asked again, as a time in milliseconds. */
export function nextTry(path) {
  return polls.get(path)?.next ?? 0;
}

function resume() {
  for (const poll of polls.values()) {
    if (stopped()) clearTimeout(poll.timer);
    else ask(poll);
  }
}

document.addEventListener('visibilitychange', resume);

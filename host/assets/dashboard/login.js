// The login page: a token for a session cookie. A token may come in the URL's fragment (`/login#token=...`), which browsers never send;
// it leaves the address bar and the history at once.

const form = document.getElementById('login');
const field = document.getElementById('token');
const trouble = document.getElementById('trouble');
const button = form.querySelector('button');

// Where to go afterwards: the view that was open when the session ended.
let view = '';

async function logIn(token) {
  trouble.textContent = '';
  button.disabled = true;
  button.textContent = 'Logging in…';
  try {
    const response = await fetch('/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ token }),
      credentials: 'same-origin',
    });
    if (response.ok) {
      location.replace(view ? `/#${view}` : '/');
      if (location.pathname === '/') location.reload();
      return;
    }
    const problem = await response.json().catch(() => ({}));
    if (response.status === 401 || response.status === 403) trouble.textContent = problem.detail || 'The gateway does not know this token.';
    else if (response.status === 429) trouble.textContent = 'Too many attempts. Wait a minute, then try again.';
    else trouble.textContent = `The gateway answered ${response.status}. ${problem.detail || ''}`;
  } catch {
    trouble.textContent = 'The gateway does not answer. Is it running?';
  } finally {
    button.disabled = false;
    button.textContent = 'Log in';
  }
  field.setAttribute('aria-invalid', 'true');
  field.select();
  field.focus();
}

form.addEventListener('submit', event => {
  event.preventDefault();
  const token = field.value.trim();
  if (token) logIn(token);
});

function look() {
  const fragment = location.hash.slice(1);
  if (fragment.startsWith('token=')) {
    history.replaceState(null, '', location.pathname);
    const token = decodeURIComponent(fragment.slice('token='.length));
    field.value = token;
    logIn(token);
  } else if (fragment.startsWith('/')) {
    view = fragment;
  }
}

addEventListener('hashchange', look);
look();

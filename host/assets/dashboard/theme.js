// Light or dark, before the first paint: what was chosen on this machine, otherwise what the system prefers. A classic script in the
// head, so that the page never flashes in the other colours.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('portcullis.theme');
  } catch {
    // Storage may be forbidden; the system's preference stands then.
  }
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
})();

// Keys that work wherever the focus is, unless something is typed: "/" and "f" go to the drawing that was used last, "?" shows all keys.
const DRAWINGS = new Set(['/', 'f']);

let last = null;

/** The drawing in which an event happened; it lies in a shadow root. */
function drawing(event) {
  return event.composedPath().find((node) => node.classList?.contains('graph-view')) ?? null;
}

function first() {
  const hosts = [...document.querySelectorAll('[data-testid=stBidiComponentIsolated]')];
  return hosts.map((host) => host.shadowRoot?.querySelector('.graph-view')).find((root) => root) ?? null;
}

function remember(event) {
  last = drawing(event) ?? last;
}

function pressed(event) {
  const typing = event.composedPath()[0].closest?.('input, textarea, select, [contenteditable=true]');
  if (typing || drawing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === '?') document.querySelector('.st-key-icon-keys button')?.click();
  else if (DRAWINGS.has(key)) (last?.isConnected ? last : first())?.dispatchEvent(new KeyboardEvent('keydown', { key }));
  else return;
  event.preventDefault();
}

export default function () {
  const events = { keydown: pressed, pointerdown: remember, focusin: remember };
  for (const [name, listener] of Object.entries(events)) document.addEventListener(name, listener);
  return () => {
    for (const [name, listener] of Object.entries(events)) document.removeEventListener(name, listener);
  };
}

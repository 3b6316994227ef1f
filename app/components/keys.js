// Keys that work wherever the focus is, unless something is typed: "/" and "f" go to the drawing that was used last, "?" shows all keys.
const DRAWINGS = new Set(['/', 'f']);
const STOPS = 'a[href], button, input, select, textarea, [tabindex]';

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

/** Whether Tab takes both for one: the buttons of a group are gone through with arrows. */
function together(one, other) {
  return one === other || Boolean(one?.closest('[role=radiogroup], [role=toolbar]')?.contains(other));
}

/** Once the focus is outside of a popover, what was a stop in it is none, and marked by what it was. */
function isStop(one) {
  return (one.tabIndex >= 0 || 'tabindex' in one.dataset) && !one.disabled && one.checkVisibility();
}

/** A popover lies at the end of the page: Tab goes round through it and its button until Escape closes it. */
function tabbed(event) {
  const popover = [...document.querySelectorAll('[data-testid=stPopoverBody]')].at(-1);
  const button = [...document.querySelectorAll('[data-testid=stPopoverButton][aria-expanded=true]')].find((one) => one.checkVisibility());
  if (!popover || !button) return;
  const stops = [...popover.querySelectorAll(STOPS)].filter(isStop);
  const enters = document.activeElement === button && !event.shiftKey;
  const leaves = together(stops.at(event.shiftKey ? 0 : -1), document.activeElement);
  if (!stops.length || !(enters || leaves)) return;
  (enters ? stops[0] : button).focus();
  event.preventDefault();
}

function pressed(event) {
  if (event.key === 'Tab') return tabbed(event);
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

// Keys, while the panel or something in it has the focus.
const STEP = 60;

const ACTIONS = {
  f: (view) => view.fit(),
  l: (view) => view.lasso.toggle(),
  n: (view) => step(view, 1),
  p: (view) => step(view, -1),
  e: (view) => view.foldSelected(),
  '/': (view) => view.search.open(),
  '+': (view) => view.camera.zoomBy(1.4),
  '=': (view) => view.camera.zoomBy(1.4),
  '-': (view) => view.camera.zoomBy(1 / 1.4),
  arrowleft: (view, event) => arrow(view, event, 'left', STEP, 0),
  arrowright: (view, event) => arrow(view, event, 'right', -STEP, 0),
  arrowup: (view, event) => arrow(view, event, 'up', 0, STEP),
  arrowdown: (view, event) => arrow(view, event, 'down', 0, -STEP),
  enter: (view) => view.open(),
  '?': (view) => view.toggleHelp(),
  escape,
};

/** Leaves what was entered last: help or menu, the card, the lasso, then the selection. */
function escape(view) {
  if (!view.find('help').hidden) view.toggleHelp(false);
  else if (!view.find('menu').hidden) view.toggleMenu(false);
  else if (!view.find('card').hidden) view.card.hide();
  else if (view.lasso.active) view.lasso.toggle(false);
  else view.selection.clear();
}

export function handleKey(view, event) {
  const action = ACTIONS[event.key.toLowerCase()];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest('.menu') && inMenu(event)) return;
  if (event.target.closest('button, select') && ['enter', 'arrowup', 'arrowdown'].includes(event.key.toLowerCase())) return;
  event.preventDefault();
  event.stopPropagation();
  action(view, event);
}

function step(view, direction) {
  view.selection.step(direction);
  view.camera.bringIntoSight(view.selection.operators());
}

/** Arrows go from entry to entry of the menu. */
function inMenu(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return false;
  const entries = [...event.target.closest('.menu').querySelectorAll('button')].filter((entry) => entry.offsetParent);
  entries[(entries.indexOf(event.target) + step + entries.length) % entries.length].focus();
  event.preventDefault();
  event.stopPropagation();
  return true;
}

/** Along an edge; with Shift the camera moves instead. */
function arrow(view, event, direction, x, y) {
  if (event.shiftKey) view.camera.panBy(x, y);
  else view.walk(direction);
}

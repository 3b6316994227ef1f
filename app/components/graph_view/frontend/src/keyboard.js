// Keys, while the panel or something in it has the focus.
const STEP = 60;

const ACTIONS = {
  f: (view) => view.camera.fit(),
  l: (view) => view.lasso.toggle(),
  n: (view) => step(view, 1),
  p: (view) => step(view, -1),
  '+': (view) => view.camera.zoomBy(1.4),
  '=': (view) => view.camera.zoomBy(1.4),
  '-': (view) => view.camera.zoomBy(1 / 1.4),
  arrowleft: (view) => view.camera.panBy(STEP, 0),
  arrowright: (view) => view.camera.panBy(-STEP, 0),
  arrowup: (view) => view.camera.panBy(0, STEP),
  arrowdown: (view) => view.camera.panBy(0, -STEP),
  '?': (view) => view.toggleHelp(),
  escape,
};

/** Leaves what was entered last: help, then the lasso, then the selection. */
function escape(view) {
  if (!view.find('help').hidden) view.toggleHelp(false);
  else if (view.lasso.active) view.lasso.toggle(false);
  else view.selection.clear();
}

export function handleKey(view, event) {
  const action = ACTIONS[event.key.toLowerCase()];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  action(view);
}

function step(view, direction) {
  view.selection.step(direction);
  view.camera.bringIntoSight(view.selection.operators());
}

// Panels that left the page, with their drawings: who comes back to the page finds them as they were, at once.
const MOST = 2;
const parked = (globalThis.agoGraphParked ??= new Map());

/** Keeps a view; of more than a page's two the oldest goes. */
export function park(view) {
  parked.get(view.panel)?.destroy();
  parked.delete(view.panel);
  parked.set(view.panel, view);
  view.rest();
  if (parked.size > MOST) {
    const [panel, oldest] = parked.entries().next().value;
    parked.delete(panel);
    oldest.destroy();
  }
}

/** The view of a panel that was parked, now in the place of the element `root`; undefined where there is none. */
export function take(panel, root) {
  const view = parked.get(panel);
  if (!view) return undefined;
  parked.delete(panel);
  root.replaceWith(view.root);
  view.wake();
  return view;
}

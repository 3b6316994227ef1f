// Tells one panel what Python says is selected and marked. A component of its own, so that selecting sends a few bytes and not the
// drawing again; `frontend/src/view.js` listens. What was said last is kept for a panel that is not there yet.
export default function ({ data }) {
  globalThis.agoGraphSelected = { ...globalThis.agoGraphSelected, [data.panel]: data };
  document.dispatchEvent(new CustomEvent('ago-graph-selected', { detail: data }));
  return () => delete globalThis.agoGraphSelected[data.panel];
}

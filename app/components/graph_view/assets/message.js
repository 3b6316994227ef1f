// Tells one panel something: what is selected and marked, its colours, or a file to save. A component of its own, so that this sends a
// few bytes and not the drawing again; `frontend/src/view.js` listens. What was said last is kept for a panel that is not there yet.
export default function ({ data }) {
  const kept = (globalThis.agoGraphMessages ??= {});
  (kept[data.panel] ??= {})[data.kind] = data;
  document.dispatchEvent(new CustomEvent('ago-graph-message', { detail: data }));
  return () => { if (kept[data.panel]?.[data.kind] === data) delete kept[data.panel][data.kind]; };
}

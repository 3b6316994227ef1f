// Entry point of the drawing component. Streamlit calls the default export on every rerun whose data changed, and on theme changes;
// what it returns is called once, when the component leaves the page.
import { GraphView } from './view.js';
import { park, take } from './parked.js';

const views = new WeakMap();

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  let root = parentElement.querySelector('.graph-view');
  let view = views.get(root);
  if (!view) {
    view = take(data.panel, root) ?? new GraphView(root, data.panel);
    root = view.root;
    views.set(root, view);
  }
  view.update(data, {
    select: (value) => setStateValue('selection', value),
    request: (value) => setTriggerValue('request', value),
  });
  return () => {
    views.delete(root);
    park(view);
  };
}

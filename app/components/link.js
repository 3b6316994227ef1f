// Streamlit turns to a page with an empty address, and ours follows with the page's answer. For the reader both are one step: the
// second takes the place of the first, else Back would stop at the empty one.
export default function () {
  const { history, location } = window;
  if (history.agoOneStep) return;
  history.agoOneStep = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, title, url) => {
    const same = new URL(url, location.href).pathname === location.pathname;
    if (same && location.search === '') history.replaceState(state, title, url);
    else push(state, title, url);
  };
}

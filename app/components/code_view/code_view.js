// Numbered lines with marks. Lines are counted from 1; a mark's kind names its class in code_view.css.
const PATTERNS = {
  tir: /(#.*$)|("[^"]*")|\b(for|in|with|if|else|def|range|and|or|not|return)\b|\b(T(?:\.\w+)+|sch\.\w+)|(?<![\w.])(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\b/gm,
  asm: /((?:#|\/\/).*$)|("[^"]*")|^\s*([a-z][\w.]*)|(%\w+|\b[vxwqsdz]\d+(?:\.\w+)?\b)|([#$]?-?\b\d+\b)/gm,
};
const CLASSES = ['', 'comment', 'string', 'keyword', 'name', 'number'];

function painted(text, pattern) {
  const parts = document.createDocumentFragment();
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    const group = found.findIndex((part, index) => index > 0 && part !== undefined);
    const start = found.index + found[0].indexOf(found[group]);
    if (start < end) continue;
    parts.append(text.slice(end, start));
    const span = document.createElement('span');
    span.className = CLASSES[group];
    span.textContent = found[group];
    parts.append(span);
    end = start + found[group].length;
  }
  parts.append(text.slice(end));
  return parts;
}

function lineOf(text, number, marks, pattern) {
  const line = document.createElement('div');
  line.className = ['line', ...marks.map((mark) => `mark-${mark[2]}`)].join(' ');
  const notes = [...new Set(marks.map((mark) => mark[3]).filter(Boolean))];
  if (notes.length) line.title = notes.join('\n');
  const count = document.createElement('span');
  count.className = 'count';
  count.textContent = number;
  const code = document.createElement('code');
  code.append(painted(text, pattern));
  line.append(count, code);
  return line;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function button(text, label, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.setAttribute('aria-label', label);
  made.onclick = act;
  return made;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector('.code-view');
  const signature = JSON.stringify(data);
  if (root.dataset.shown === signature) return;
  root.dataset.shown = signature;
  for (const [kind, hue] of Object.entries(data.hues)) root.style.setProperty(`--${kind}`, hue);
  const lines = data.text.split('\n');
  const body = document.createElement('div');
  body.className = `lines ${data.language}`;
  body.style.maxHeight = `${data.height}px`;
  body.tabIndex = 0;
  body.setAttribute('role', 'region');
  body.setAttribute('aria-label', data.label);
  const on = lines.map(() => []);
  for (const mark of data.marks) for (let n = mark[0]; n <= Math.min(mark[1], lines.length); n++) on[n - 1].push(mark);
  const pattern = PATTERNS[data.language] ?? PATTERNS.tir;
  const inner = document.createElement('div');
  inner.className = 'inner';
  inner.append(...lines.map((text, index) => lineOf(text, index + 1, on[index], pattern)));
  body.append(inner);
  const bar = document.createElement('div');
  bar.className = 'bar';
  for (const [name, line] of data.places) {
    const go = () => body.scrollTo({ top: inner.children[line - 1].offsetTop - inner.offsetTop - 24, behavior: 'smooth' });
    bar.append(button(`${name} · ${line}`, `Go to ${name}, line ${line}`, go));
  }
  const copied = button('Copy', `Copy ${data.label}`, async () => {
    copied.textContent = (await copy(data.text)) ? 'Copied' : 'The browser refused';
    setTimeout(() => (copied.textContent = 'Copy'), 1600);
  });
  copied.className = 'copy';
  bar.append(copied);
  root.replaceChildren(bar, body);
}

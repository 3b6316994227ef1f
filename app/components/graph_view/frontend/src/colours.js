// Colours by a quantity or a kind: the menu, the colours on the drawing, and their legend. Python says all three.
export class Colours {
  /** `onChoose` is called with the key that the user chose, `onChange` when there are other colours. */
  constructor(cy, menu, legend, onChoose, onChange) {
    this.cy = cy;
    this.menu = menu;
    this.legend = legend;
    this.onChange = onChange;
    this.given = '';
    this.paint = null;
    menu.addEventListener('change', () => onChoose(menu.value));
  }

  get speaks() {
    return Boolean(this.paint);
  }

  receive({ menu, chosen, paint }) {
    const given = JSON.stringify([menu, chosen, paint]);
    if (given === this.given) return;
    this.given = given;
    this.menu.replaceChildren(...menu.map(([key, text, enabled]) => option(key, text, enabled)));
    this.menu.value = chosen;
    this.paint = paint;
    this.apply();
    this.showLegend();
    this.onChange();
  }

  /** Colours the drawing's nodes; without colours they have those of their subgraphs. */
  apply() {
    this.cy.batch(() => this.cy.nodes().forEach((node) => {
      const colour = this.paint?.palette[this.place(node)];
      if (colour) node.data({ paint: colour, ink: inkOn(colour) });
      node.toggleClass('painted', Boolean(colour)).toggleClass('unpainted', Boolean(this.paint) && !colour);
    }));
  }

  /** A node's place in the palette. */
  place(node) {
    const { operators, subgraphs } = this.paint;
    const subgraph = node.data('subgraph');
    if (node.hasClass('folded')) return subgraphs[subgraph];
    if (node.hasClass('box')) return operators.length ? null : subgraphs[subgraph];
    if (operators.length) return operators[Number(node.id())];
    return this.cy.getElementById(`S${subgraph}`).empty() ? subgraphs[subgraph] : null;
  }

  /** What the colour of a node says, as a row of its card. */
  rows(node) {
    const text = this.paint?.texts[node.data('subgraph')];
    return text ? [[this.paint.title.split(/[ ,]/)[0], text]] : [];
  }

  showLegend() {
    if (!this.paint) return;
    const { title, palette, names, ends } = this.paint;
    const head = document.createElement('span');
    head.className = 'what';
    head.textContent = title;
    if (names.length) this.legend.replaceChildren(head, ...names.map((name, index) => swatch(palette[index], name)));
    else this.legend.replaceChildren(head, bar(palette, ends));
  }
}

function option(key, text, enabled) {
  const made = document.createElement('option');
  made.value = key;
  made.textContent = text;
  made.disabled = !enabled;
  return made;
}

function swatch(colour, name) {
  const line = document.createElement('span');
  const box = document.createElement('i');
  box.style.background = colour;
  line.append(box, name);
  return line;
}

function bar(palette, [low, high]) {
  const line = document.createElement('span');
  const scale = document.createElement('i');
  scale.className = 'scale';
  scale.style.background = `linear-gradient(to right, ${palette.join(', ')})`;
  line.append(low, scale, high);
  return line;
}

/** Black or white, whichever is easier to read on a colour "#rrggbb". */
function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16) / 255);
  return 0.2126 * r ** 2.2 + 0.7152 * g ** 2.2 + 0.0722 * b ** 2.2 > 0.18 ? '#111111' : '#ffffff';
}

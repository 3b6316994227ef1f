// The card beside the pointer that tells about an operator or a subgraph. Texts of the model are set as text, never as HTML.
const OFFSET = 14;
const DELAY_MS = 120;

export class HoverCard {
  /** `extra` gives rows that are not the drawing's, such as a value that colours show. */
  constructor(cy, card, stage, extra) {
    this.extra = extra;
    this.card = card;
    this.stage = stage;
    cy.on('mouseover', 'node', (event) => this.schedule(event.target, event.renderedPosition));
    cy.on('mouseout', 'node', () => this.hide());
    cy.on('viewport tapstart', () => this.hide());
    stage.addEventListener('pointerleave', () => this.hide());
  }

  schedule(node, at) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(node, at), DELAY_MS);
  }

  show(node, at) {
    if (!node.data('card')) return;
    const rows = [...node.data('card'), ...this.extra(node)];
    this.card.replaceChildren(...rows.map(([label, text], index) => row(label, text, index === 0)));
    this.card.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.card;
    const right = at.x + OFFSET + width < this.stage.clientWidth;
    const below = at.y + OFFSET + height < this.stage.clientHeight;
    this.card.style.left = `${Math.max(4, right ? at.x + OFFSET : at.x - OFFSET - width)}px`;
    this.card.style.top = `${Math.max(4, below ? at.y + OFFSET : at.y - OFFSET - height)}px`;
  }

  /** Beside a node, for the keyboard; again hides it. */
  toggleAt(node) {
    if (this.card.hidden && node.nonempty()) this.show(node, node.renderedPosition());
    else this.hide();
  }

  hide() {
    clearTimeout(this.timer);
    this.card.hidden = true;
  }
}

function row(label, text, title) {
  const line = document.createElement('div');
  line.className = title ? 'title' : 'row';
  const name = document.createElement('span');
  name.textContent = label;
  line.append(name);
  if (!title) {
    const value = document.createElement('span');
    value.textContent = text;
    line.append(value);
  }
  return line;
}

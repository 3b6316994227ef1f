// Which operators are selected, here and in Python.
//
// What the user selects is sent with a sequence number, which Python returns with its data. While Python's number lags behind
// ours, its `selected` is older than what the user sees and is left aside; and only a `selected` that changed is applied, without
// sending it back. So linked panels follow each other and cannot echo.
const SEND_AFTER_MS = 60;

export class Selection {
  constructor(cy, onChange) {
    this.cy = cy;
    this.onChange = onChange;
    this.sequence = 0;
    this.given = '[]';
    this.wanted = [];
    this.silent = false;
    this.subgraph = null;
    this.send = () => {};
    cy.on('select unselect', '.op', () => { if (!this.silent) this.changed(); });
    cy.on('tap', '.box', (event) => this.tapBox(event));
  }

  operators() {
    return this.cy.nodes('.op:selected');
  }

  ids() {
    return this.operators().map((node) => Number(node.id())).sort((a, b) => a - b);
  }

  quietly(action) {
    this.silent = true;
    try { action(); } finally { this.silent = false; }
  }

  replace(nodes, { add = false, subgraph = null } = {}) {
    this.quietly(() => this.cy.batch(() => {
      if (!add) this.operators().not(nodes).unselect();
      nodes.select();
    }));
    this.changed(add ? null : subgraph);
  }

  clear() {
    if (this.operators().nonempty()) this.replace(this.cy.collection());
  }

  /** Selects a box's members; with Shift adds them. */
  tapBox(event) {
    const subgraph = event.target.data('subgraph');
    const members = this.cy.nodes('.op').filter((node) => node.data('subgraph') === subgraph);
    this.replace(members, { add: event.originalEvent.shiftKey, subgraph });
  }

  /** Selects the operators whose centre lies inside `polygon`, a list of [x, y] in the panel's pixels. */
  inside(polygon, add) {
    const hit = this.cy.nodes('.op').filter((node) => {
      const { x, y } = node.renderedPosition();
      return contains(polygon, x, y);
    });
    this.replace(hit, { add });
  }

  /** The next (or, with -1, the previous) operator in the order of execution. */
  step(direction) {
    const ids = this.ids();
    const all = this.cy.nodes('.op');
    if (all.empty()) return;
    const from = ids.length ? ids[direction > 0 ? ids.length - 1 : 0] : direction > 0 ? -1 : all.length;
    const next = (from + direction + all.length) % all.length;
    this.replace(this.cy.getElementById(String(next)));
  }

  /** Called for every operator that changes; sends once when the burst is over. */
  changed(subgraph = null) {
    this.subgraph = subgraph;
    this.wanted = this.ids();
    this.highlight();
    clearTimeout(this.timer);
    this.pending = true;
    this.timer = setTimeout(() => this.push(), SEND_AFTER_MS);
  }

  push() {
    this.pending = false;
    this.sequence += 1;
    this.send({ operators: this.ids(), subgraph: this.subgraph, sequence: this.sequence });
    this.onChange();
  }

  /** Applies what Python says is selected. Returns whether anything changed here. */
  receive(selected, sequence) {
    if (this.pending || sequence < this.sequence) return false;
    this.sequence = sequence;
    const wanted = JSON.stringify(selected);
    const news = wanted !== this.given;
    this.given = wanted;
    if (!news || wanted === JSON.stringify(this.wanted)) return false;
    this.wanted = selected;
    this.subgraph = null;
    this.restore();
    this.onChange();
    return true;
  }

  /** Selects in the drawing, as far as it has them, the operators that are to be selected. */
  restore() {
    const nodes = this.wanted.map((id) => this.cy.getElementById(String(id))).filter((node) => node.nonempty());
    const wanted = this.cy.collection(nodes);
    this.quietly(() => this.cy.batch(() => {
      this.operators().not(wanted).unselect();
      wanted.select();
    }));
    this.highlight();
  }

  /** Marks the edges of selected operators. */
  highlight() {
    const touched = this.operators().connectedEdges();
    this.cy.batch(() => {
      this.cy.edges('.touched').not(touched).removeClass('touched');
      touched.addClass('touched');
    });
  }

  destroy() {
    clearTimeout(this.timer);
  }
}

/** Even-odd rule. */
function contains(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i];
    const [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

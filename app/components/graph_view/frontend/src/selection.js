// Which operators are selected, here and in Python.
//
// What the user selects is sent with a sequence number, which Python returns with its data. While Python's number lags behind
// ours, its `selected` is older than what the user sees and is left aside; and only a `selected` that changed is applied, without
// sending it back. So linked panels follow each other and cannot echo.
//
// A folded subgraph stands for its members. Where only some of them are selected elsewhere, its node is selected too and remembers
// which (`part`); a click on it selects all.
import { operatorsOf } from './places.js';

const SEND_AFTER_MS = 60;

export class Selection {
  constructor(cy, places, onChange) {
    this.cy = cy;
    this.places = places;
    this.onChange = onChange;
    this.sequence = 0;
    this.given = '[]';
    this.wanted = [];
    this.silent = false;
    this.subgraph = null;
    this.send = () => {};
    cy.on('unselect', '.folded', (event) => event.target.removeScratch('part'));
    cy.on('select unselect', '.op', () => { if (!this.silent) this.changed(); });
    cy.on('tap', '.box', (event) => this.tapBox(event));
    cy.on('tap', '.folded', (event) => this.tapFolded(event));
  }

  operators() {
    return this.cy.nodes('.op:selected');
  }

  ids() {
    const parts = this.operators().map((node) => node.scratch('part') ?? operatorsOf(node));
    return parts.flat().sort((a, b) => a - b);
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

  /** A click on a folded subgraph, which the library has selected or unselected already, is one on the subgraph. */
  tapFolded(event) {
    const node = event.target;
    if (!node.selected()) return;
    node.removeScratch('part');
    const alone = this.operators().length === 1;
    this.changed(alone && !event.originalEvent.shiftKey ? node.data('subgraph') : null);
  }

  /** Selects operators wherever they are, also some of a folded subgraph's. */
  pick(ops) {
    this.select(ops);
    this.changed();
  }

  /** Selects the operators whose centre lies inside `polygon`, a list of [x, y] in the panel's pixels. */
  inside(polygon, add) {
    const hit = this.cy.nodes('.op').filter((node) => {
      const { x, y } = node.renderedPosition();
      return contains(polygon, x, y);
    });
    this.replace(hit, { add });
  }

  /** The next (or, with -1, the previous) node in the order of execution. */
  step(direction) {
    const all = this.cy.nodes('.op').toArray().sort((a, b) => operatorsOf(a)[0] - operatorsOf(b)[0]);
    if (!all.length) return;
    const selected = all.flatMap((node, index) => (node.selected() ? [index] : []));
    const from = selected.length ? selected[direction > 0 ? selected.length - 1 : 0] : direction > 0 ? -1 : all.length;
    this.replace(this.cy.collection([all[(from + direction + all.length) % all.length]]));
  }

  /** Along an edge: "down" to a reader, "up" to a producer, "left" and "right" to others that share one. False where there is none. */
  walk(direction, start) {
    const from = this.operators().last();
    const to = from.empty() ? start : towards(from, direction);
    if (!to || to.empty()) return false;
    this.replace(to);
    return true;
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

  /** Selects in the drawing what is to be selected. */
  restore() {
    this.select(this.wanted);
    this.highlight();
  }

  select(ops) {
    const parts = new Map();
    ops.forEach((op) => {
      const id = this.places.node(op).id();
      if (id !== undefined) parts.set(id, [...(parts.get(id) ?? []), op]);
    });
    const nodes = this.cy.collection([...parts.keys()].map((id) => this.cy.getElementById(id)));
    this.quietly(() => this.cy.batch(() => {
      this.operators().not(nodes).unselect();
      nodes.select();
      nodes.filter('.folded').forEach((node) => {
        const part = parts.get(node.id());
        if (part.length < node.data('members').length) node.scratch('part', part);
        else node.removeScratch('part');
      });
    }));
  }

  /** Marks the edges of selected operators. */
  highlight() {
    const touched = this.operators().connectedEdges();
    this.cy.batch(() => {
      this.cy.edges('.touched').not(touched).removeClass('touched');
      touched.addClass('touched');
    });
  }

  /** The panel has left the page: Python numbers its messages anew, and what was not sent yet never will be. */
  forget() {
    clearTimeout(this.timer);
    this.pending = false;
    this.sequence = 0;
    this.given = null;
  }
}

/** The neighbour of a node in one direction: of several readers or producers one of the same subgraph, else the first. */
function towards(node, direction) {
  const near = { down: () => node.outgoers('.op'), up: () => node.incomers('.op') }[direction];
  if (near) {
    const own = near().filter((other) => other.data('subgraph') === node.data('subgraph'));
    return (own.nonempty() ? own : near()).min((other) => operatorsOf(other)[0]).ele;
  }
  const siblings = node.incomers('.op').outgoers('.op').union(node.outgoers('.op').incomers('.op')).difference(node);
  const sign = direction === 'left' ? -1 : 1;
  const beside = siblings.filter((other) => sign * (other.position('x') - node.position('x')) > 0);
  return beside.min((other) => Math.abs(other.position('x') - node.position('x'))).ele;
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

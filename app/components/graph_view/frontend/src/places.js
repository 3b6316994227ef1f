// Where operators are in the drawing: in nodes of their own, or in the node of a folded subgraph.
export class Places {
  constructor(cy) {
    this.cy = cy;
    this.holders = new Map();
  }

  /** To be called when the drawing has changed. */
  read() {
    this.holders.clear();
    this.cy.nodes('.folded').forEach((node) => node.data('members').forEach((op) => this.holders.set(op, node.id())));
  }

  /** The node of an operator; empty if it is not drawn. */
  node(op) {
    return this.cy.getElementById(this.holders.get(op) ?? String(op));
  }

  nodes(ops) {
    return this.cy.collection([...new Set(ops.map((op) => this.node(op)))].filter((node) => node.nonempty()));
  }

  /** The element that stands for what Python names: an operator "12", an edge "12-13", a subgraph "S3". Empty if there is none. */
  element(id) {
    const own = this.cy.getElementById(id);
    if (own.nonempty()) return own;
    if (!id.includes('-')) return this.node(Number(id));
    const [source, target] = id.split('-').map((op) => this.node(Number(op)).id());
    return this.cy.getElementById(`${source}-${target}`);
  }
}

/** The operators that a node stands for. */
export function operatorsOf(node) {
  return node.data('members') ?? [Number(node.id())];
}

// Search by name, kind, TVM pattern, ONNX node or subgraph. Matches are outlined; Enter jumps from one to the next.
import { operatorsOf } from './places.js';

const SHOWN = 60;

export class Search {
  /** `jump` is called with an operator to go to, `take` with all that match, `leave` when the search ends. */
  constructor(cy, places, panel, { jump, take, leave }) {
    this.cy = cy;
    this.places = places;
    this.panel = panel;
    this.input = panel.querySelector('input');
    this.list = panel.querySelector('.hits');
    this.count = panel.querySelector('.count');
    this.all = panel.querySelector('.all');
    this.jump = jump;
    this.leave = leave;
    this.rows = [];
    this.hits = [];
    this.current = -1;
    this.input.addEventListener('input', () => this.look());
    this.all.addEventListener('click', () => { take(this.hits); this.close(); });
    panel.addEventListener('keydown', (event) => this.key(event));
  }

  /** For each operator [name, kind, pattern, ONNX nodes]. */
  read(rows) {
    this.rows = rows.map((row) => ({ name: row[0], kind: row[1], own: row.slice(0, 2).join(' ').toLowerCase(), text: row.join(' ').toLowerCase() }));
    if (!this.panel.hidden) this.look();
  }

  toggle() {
    if (this.panel.hidden) this.open();
    else this.close();
  }

  open() {
    this.panel.hidden = false;
    this.look();
    this.input.focus();
    this.input.select();
  }

  close() {
    this.panel.hidden = true;
    this.outline([]);
    this.leave();
  }

  /** The height that the panel takes from the drawing. */
  get covers() {
    return this.panel.hidden ? 0 : this.panel.offsetTop + this.panel.offsetHeight;
  }

  look() {
    const query = this.input.value.trim().toLowerCase();
    this.hits = query ? this.find(query) : [];
    this.current = -1;
    this.count.textContent = query ? `${this.hits.length} of ${this.rows.length}` : '';
    this.all.hidden = this.hits.length === 0;
    this.list.replaceChildren(...this.hits.slice(0, SHOWN).map((op, index) => this.row(op, index)));
    this.outline(this.hits);
  }

  /** Operators in which every word occurs, those first where they do in name or kind. "s12" names a subgraph. */
  find(query) {
    if (/^s\d+$/.test(query)) {
      const own = this.cy.nodes('.op').filter((node) => `s${node.data('subgraph')}` === query);
      return own.map(operatorsOf).flat();
    }
    const words = query.split(/\s+/);
    const where = (field) => this.rows.flatMap((row, op) => (words.every((word) => row[field].includes(word)) ? [op] : []));
    return [...new Set([...where('own'), ...where('text')])];
  }

  row(op, index) {
    const line = document.createElement('li');
    line.id = `hit-${index}`;
    line.setAttribute('role', 'option');
    const name = document.createElement('span');
    name.textContent = this.rows[op].name;
    const where = document.createElement('span');
    where.className = 'where';
    where.textContent = `${this.rows[op].kind} · S${this.places.node(op).data('subgraph')}`;
    line.append(name, where);
    line.addEventListener('pointerdown', (event) => { event.preventDefault(); this.go(index); });
    return line;
  }

  key(event) {
    event.stopPropagation(); // neither the panel's keys nor the page's
    const move = { ArrowDown: 1, ArrowUp: -1, Enter: event.shiftKey ? -1 : 1 }[event.key];
    if (event.key === 'Escape') this.close();
    else if (move && event.target === this.input && this.hits.length) {
      event.preventDefault();
      this.go((Math.max(this.current, move > 0 ? -1 : 0) + move + this.hits.length) % this.hits.length);
    }
  }

  go(index) {
    this.current = index;
    [...this.list.children].forEach((line, at) => line.setAttribute('aria-selected', String(at === index)));
    this.list.children[index]?.scrollIntoView({ block: 'nearest' });
    this.input.setAttribute('aria-activedescendant', `hit-${index}`);
    this.count.textContent = `${index + 1} of ${this.hits.length}`;
    this.jump(this.hits[index]);
  }

  outline(ops) {
    const nodes = this.places.nodes(ops);
    this.cy.batch(() => {
      this.cy.nodes('.hit').not(nodes).removeClass('hit');
      nodes.addClass('hit');
    });
  }
}

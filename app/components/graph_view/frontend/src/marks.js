// What Python emphasises on top of the drawing: classes on elements, which colour them, and a legend of their own.
export class Marks {
  constructor(cy, legend, own) {
    this.cy = cy;
    this.legend = legend;
    this.own = own;
    this.looks = {};
    this.given = '';
    this.marks = null;
    cy.on('zoom', () => cy.edges('.mark-cycle').updateStyle());
  }

  /** Takes what Python says. Returns whether anything changed. */
  receive(marks) {
    const given = JSON.stringify(marks ?? null);
    if (given === this.given) return false;
    this.given = given;
    this.marks = marks;
    this.apply();
    return true;
  }

  /** Marks the drawing's elements, touching only those whose marks change: restyling is what costs time. */
  apply() {
    const wanted = this.wanted();
    const rest = this.marks?.fade ? 'faded' : '';
    this.cy.batch(() => this.cy.elements().forEach((element) => {
      const now = element.scratch('marks') ?? '';
      const next = wanted.get(element.id()) ?? rest;
      if (now === next) return;
      element.removeClass(now).addClass(next).scratch('marks', next);
    }));
    this.showLegend();
  }

  /** For each marked element its classes. */
  wanted() {
    const classes = new Map();
    Object.entries(this.marks?.elements ?? {}).forEach(([name, ids]) => ids.forEach((id) => {
      classes.set(id, classes.has(id) ? `${classes.get(id)} mark-${name}` : `mark-${name}`);
    }));
    return classes;
  }

  focus() {
    return this.collect(this.marks?.focus ?? []);
  }

  collect(ids) {
    return this.cy.collection(ids.map((id) => this.cy.getElementById(id)).filter((element) => element.nonempty()));
  }

  restyle(looks) {
    this.looks = Object.fromEntries(looks.map((look) => [look.name, look]));
    this.showLegend();
  }

  /** The marks' legend stands in for that of the subgraphs while there are any. */
  showLegend() {
    const rows = this.marks?.legend ?? [];
    this.legend.hidden = rows.length > 0;
    this.own.hidden = rows.length === 0;
    this.own.replaceChildren(...rows.map(([name, text]) => this.row(name, text)));
  }

  row(name, text) {
    const look = this.looks[name];
    const swatch = document.createElement('i');
    swatch.className = name === 'cycle' ? 'stroke' : '';
    if (look) {
      swatch.style.borderColor = name === 'cycle' ? look.hue : look.stroke;
      swatch.style.borderStyle = look.line;
      swatch.style.borderWidth = look.line === 'double' ? '4px' : '2px';
      swatch.style.background = look.fill;
    }
    const line = document.createElement('span');
    line.append(swatch, text);
    return line;
  }
}

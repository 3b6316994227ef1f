// What Python emphasises on top of the drawing: classes on elements, which colour them, and a legend of their own.
export class Marks {
  /** `onLegend` is called when there is another legend, whose rows are in `own`. */
  constructor(cy, places, own, onLegend) {
    this.cy = cy;
    this.places = places;
    this.own = own;
    this.onLegend = onLegend;
    this.looks = {};
    this.given = '';
    this.marks = null;
    cy.on('zoom', () => cy.edges('.mark-cycle').updateStyle());
  }

  get speaks() {
    return Boolean(this.marks?.legend.length);
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
    const names = new Map();
    Object.entries(this.marks?.elements ?? {}).forEach(([name, ids]) => ids.forEach((id) => {
      const found = this.places.element(id).id();
      if (found !== undefined) names.set(found, (names.get(found) ?? new Set()).add(`mark-${name}`));
    }));
    return new Map([...names].map(([id, own]) => [id, [...own].join(' ')]));
  }

  focus() {
    return this.places.nodes((this.marks?.focus ?? []).map(Number));
  }

  restyle(looks) {
    this.looks = Object.fromEntries(looks.map((look) => [look.name, look]));
    this.showLegend();
  }

  showLegend() {
    const rows = this.marks?.legend ?? [];
    this.own.replaceChildren(...rows.map(([name, text]) => this.row(name, text)));
    this.onLegend();
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

// What Python emphasises on top of the drawing: classes on elements, which colour them, and a legend of their own.
export class Marks {
  constructor(cy, legend, own) {
    this.cy = cy;
    this.legend = legend;
    this.own = own;
    this.looks = {};
    this.given = '';
    this.marks = null;
    this.classes = [];
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

  /** Marks the drawing's elements; those that it does not have are left aside. */
  apply() {
    this.cy.batch(() => {
      this.cy.elements().removeClass(this.classes);
      if (!this.marks) return;
      this.classes = ['faded', ...Object.keys(this.marks.elements).map((name) => `mark-${name}`)];
      let marked = this.cy.collection();
      Object.entries(this.marks.elements).forEach(([name, ids]) => {
        const elements = this.collect(ids);
        elements.addClass(`mark-${name}`);
        marked = marked.union(elements);
      });
      if (this.marks.fade) this.cy.elements().not(marked).addClass('faded');
    });
    this.showLegend();
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

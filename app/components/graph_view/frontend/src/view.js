// One panel: owns the cytoscape instance and ties selection, camera, lasso, hover card, keyboard and toolbar to it.
import cytoscape from 'cytoscape';
import { Camera } from './camera.js';
import { HoverCard } from './card.js';
import { handleKey } from './keyboard.js';
import { Lasso } from './lasso.js';
import { Marks } from './marks.js';
import { Selection } from './selection.js';
import { readTheme, stylesheet } from './style.js';

export class GraphView {
  constructor(root, panel) {
    this.root = root;
    this.panel = panel;
    this.find = (name) => root.querySelector(`.${name}`);
    this.revision = null;
    this.themeKey = null;
    this.cy = cytoscape({
      container: this.find('canvas'),
      elements: [],
      boxSelectionEnabled: true,
      selectionType: 'single',
      autoungrabify: true,
      minZoom: 0.02,
      maxZoom: 4,
    });
    this.camera = new Camera(this.cy);
    this.selection = new Selection(this.cy, () => this.announce());
    this.marks = new Marks(this.cy, this.find('legend'), this.find('marks-legend'));
    this.card = new HoverCard(this.cy, this.find('card'), this.find('stage'));
    this.lasso = new Lasso(this.find('overlay'), (polygon, add) => this.selection.inside(polygon, add), () => this.reflectLasso());
    this.wireToolbar();
    root.addEventListener('keydown', (event) => handleKey(this, event));
    this.listener = ({ detail }) => this.receive(detail);
    document.addEventListener('ago-graph-selected', this.listener);
    this.receive(globalThis.agoGraphSelected?.[panel]);
    this.observer = new ResizeObserver(() => this.camera.resized());
    this.observer.observe(this.find('stage'));
  }

  update(data, send) {
    this.find('stage').style.height = `${data.height}px`;
    this.selection.send = send;
    this.restyle(data);
    if (data.revision !== this.revision) this.load(data);
    this.find('stage').setAttribute('aria-label', data.label);
  }

  /** Takes what Python says is selected, sent by `assets/selected.js` whenever it changes. */
  receive(message) {
    if (message?.panel !== this.panel) return;
    if (this.selection.receive(message.selected, message.sequence)) this.camera.bringIntoSight(this.selection.operators());
    if (this.marks.receive(message.marks)) this.camera.bringIntoSight(this.marks.focus());
  }

  load(data) {
    // Edits regroup operators but keep their number; another number is another model, to be seen from the start.
    const count = data.elements.filter((element) => element.classes.startsWith('op')).length;
    const anchor = count === this.cy.nodes('.op').length ? this.camera.anchor() : null;
    this.revision = data.revision;
    this.selection.quietly(() => this.cy.batch(() => {
      this.cy.elements().remove();
      this.cy.add(prepared(data.elements));
    }));
    this.selection.restore();
    this.marks.apply();
    this.card.hide();
    this.find('empty').hidden = data.elements.length > 0;
    this.camera.reloaded(anchor);
    this.announce();
  }

  restyle(data) {
    const theme = readTheme(this.root, data.hues, data.marks);
    const key = JSON.stringify(theme);
    if (key === this.themeKey) return;
    this.themeKey = key;
    this.cy.style(stylesheet(theme));
    ['box', 'plain', 'complex', 'single'].forEach((name) => {
      const swatch = this.find(`swatch-${name}`);
      const { fill, line } = theme.legend[name];
      swatch.style.background = fill;
      swatch.style.borderColor = line;
    });
    this.marks.restyle(theme.marks);
  }

  wireToolbar() {
    this.find('lasso').addEventListener('click', () => this.lasso.toggle());
    this.find('fit').addEventListener('click', () => this.camera.fit());
    this.find('zoom-in').addEventListener('click', () => this.camera.zoomBy(1.4));
    this.find('zoom-out').addEventListener('click', () => this.camera.zoomBy(1 / 1.4));
    this.find('help-button').addEventListener('click', () => this.toggleHelp());
    // cytoscape takes the focus away from whatever has it on every press; keys must go to the panel that was clicked.
    this.find('stage').addEventListener('mousedown', () => this.find('stage').focus({ preventScroll: true }));
  }

  toggleHelp(show = this.find('help').hidden) {
    this.find('help').hidden = !show;
    this.find('help-button').setAttribute('aria-expanded', String(show));
  }

  reflectLasso() {
    this.find('lasso').setAttribute('aria-pressed', String(this.lasso.active));
    if (this.lasso.active) this.card.hide();
  }

  /** Says what is selected, also to screen readers. */
  announce() {
    const names = this.selection.operators().map((node) => node.data('name'));
    const first = names.slice(0, 5).join(', ') + (names.length > 5 ? ' and more' : '');
    this.find('status').textContent = names.length ? `${names.length} selected: ${first}` : 'Nothing selected';
  }

  destroy() {
    document.removeEventListener('ago-graph-selected', this.listener);
    this.observer.disconnect();
    this.selection.destroy();
    this.cy.destroy();
  }
}

/** Elements with the behaviour that all of a kind share: dragging any of them pans, only operators can be selected. */
function prepared(elements) {
  return elements.map((element) => {
    const operator = element.classes.startsWith('op');
    return { ...element, selectable: operator, grabbable: false, pannable: true };
  });
}

// One panel: owns the cytoscape instance and ties its parts together.
import cytoscape from 'cytoscape';
import { Camera } from './camera.js';
import { HoverCard } from './card.js';
import { Colours } from './colours.js';
import { savePng, saveSvg, saveText } from './export.js';
import { handleKey } from './keyboard.js';
import { Lasso } from './lasso.js';
import { Linked } from './linked.js';
import { Marks } from './marks.js';
import { MiniMap } from './minimap.js';
import { Places, operatorsOf } from './places.js';
import { Search } from './search.js';
import { Selection } from './selection.js';
import { readTheme, stylesheet } from './style.js';

// From so many elements on, edges are left out while the camera moves.
const MANY = 2500;
const REST_AFTER_MS = 500;

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
    const { cy } = this;
    this.places = new Places(cy);
    this.camera = new Camera(cy, this.places, () => this.linked.moved());
    this.linked = new Linked(this.camera, () => this.find('link').setAttribute('aria-checked', String(this.linked.on)));
    this.selection = new Selection(cy, this.places, () => this.announce());
    this.marks = new Marks(cy, this.places, this.find('marks-legend'), () => this.showLegend());
    this.miniMap = new MiniMap(cy, this.find('mini-map'), this.camera);
    this.colours = new Colours(cy, this.find('colour'), this.find('colours-legend'),
      (colour) => this.request({ kind: 'colour', colour }), () => { this.showLegend(); this.miniMap.changed(); });
    this.card = new HoverCard(cy, this.find('card'), this.find('stage'), (node) => this.colours.rows(node));
    this.lasso = new Lasso(this.find('overlay'), (polygon, add) => this.selection.inside(polygon, add), () => this.reflectLasso());
    this.search = new Search(cy, this.places, this.find('search'), {
      jump: (op) => this.pick([op]), take: (ops) => this.pick(ops), leave: () => this.focus() });
    cy.on('dbltap', '.box, .folded', (event) => this.fold(event.target.data('subgraph')));
    this.wireToolbar();
    root.addEventListener('keydown', (event) => handleKey(this, event));
    this.listener = ({ detail }) => this.receive(detail);
    this.observer = new ResizeObserver(() => this.camera.resized());
    this.listen();
  }

  listen() {
    document.addEventListener('ago-graph-message', this.listener);
    Object.values(globalThis.agoGraphMessages?.[this.panel] ?? {}).filter(({ kind }) => kind !== 'file').forEach((said) => this.receive(said));
    this.observer.observe(this.find('stage'));
    this.linked.join();
  }

  deafen() {
    document.removeEventListener('ago-graph-message', this.listener);
    this.observer.disconnect();
    this.linked.leave();
    this.selection.forget();
    this.card.hide();
  }

  /** The panel has left the page and may come back. Until then cytoscape draws no frames. */
  rest() {
    this.deafen();
    this.pause = setTimeout(() => Object.assign(this.cy.renderer(), { destroyed: true, renderLoopStarted: false }), REST_AFTER_MS);
  }

  /** It is back on the page, as it was. */
  wake() {
    clearTimeout(this.pause);
    this.cy.renderer().destroyed = false;
    this.cy.resize();
    this.listen();
  }

  /** `select` and `request` tell Python. */
  update(data, { select, request }) {
    this.find('stage').style.height = `${data.height}px`;
    this.selection.send = select;
    this.request = data.answers ? request : () => {};
    this.root.classList.toggle('unanswered', !data.answers);
    this.restyle(data);
    if (data.revision !== this.revision) this.load(data);
    this.find('stage').setAttribute('aria-label', data.label);
  }

  /** Takes what Python says, sent by `assets/message.js` whenever it changes. */
  receive(message) {
    if (message?.panel !== this.panel) return;
    if (message.kind === 'colours') this.colours.receive(message);
    else if (message.kind === 'file') saveText(message.name, message.text);
    else {
      if (this.selection.receive(message.selected, message.sequence)) this.camera.bringIntoSight(this.selection.operators());
      if (this.marks.receive(message.marks)) this.camera.bringIntoSight(this.marks.focus());
    }
  }

  load(data) {
    // Edits and folding keep the model; another one is to be seen from the start.
    const anchor = data.model === this.model ? this.camera.anchor() : null;
    this.revision = data.revision;
    this.model = data.model;
    this.file = data.file;
    const elements = JSON.parse(data.elements);
    this.selection.quietly(() => this.cy.batch(() => {
      this.cy.elements().remove();
      this.cy.add(prepared(elements));
    }));
    this.cy.renderer().hideEdgesOnViewport = elements.length > MANY;
    this.places.read();
    this.selection.restore();
    this.colours.apply();
    this.marks.apply();
    this.showShapes(this.shapes);
    this.card.hide();
    this.find('empty').hidden = elements.length > 0;
    this.camera.reloaded(anchor);
    this.miniMap.changed();
    this.search.read(JSON.parse(data.index));
    this.announce();
  }

  restyle(data) {
    const theme = readTheme(this.root, data.hues, data.marks);
    const key = JSON.stringify(theme);
    if (key === this.themeKey) return;
    this.themeKey = key;
    this.background = theme.background;
    this.cy.style(stylesheet(theme));
    ['box', 'plain', 'complex', 'single'].forEach((name) => {
      const swatch = this.find(`swatch-${name}`);
      const { fill, line } = theme.legend[name];
      swatch.style.background = fill;
      swatch.style.borderColor = line;
    });
    this.marks.restyle(theme.marks);
    this.miniMap.changed();
  }

  wireToolbar() {
    const actions = {
      'search-button': () => this.search.toggle(),
      lasso: () => this.lasso.toggle(),
      fit: () => this.fit(),
      'zoom-in': () => this.camera.zoomBy(1.4),
      'zoom-out': () => this.camera.zoomBy(1 / 1.4),
      more: () => this.toggleMenu(),
      shapes: () => this.showShapes(!this.shapes),
      link: () => this.linked.toggle(),
      'fold-all': () => this.request({ kind: 'fold', closed: true }),
      'unfold-all': () => this.request({ kind: 'fold', closed: false }),
      'save-svg': () => saveSvg(this.cy, this.file, this.background),
      'save-png': () => savePng(this.cy, this.file, this.background),
      'save-dot': () => this.request({ kind: 'dot' }),
      'help-button': () => this.toggleHelp(),
    };
    Object.entries(actions).forEach(([name, action]) => this.find(name).addEventListener('click', action));
    this.find('menu').addEventListener('click', (event) => { if (event.target.closest('[role=menuitem]')) this.toggleMenu(false); });
    // cytoscape takes the focus away from whatever has it on every press; keys must go to the panel that was clicked.
    this.find('canvas').addEventListener('mousedown', () => { this.toggleMenu(false); this.focus(); });
  }

  focus() {
    this.find('stage').focus({ preventScroll: true });
  }

  fit() {
    this.camera.fit();
    this.linked.moved();
  }

  /** Selects operators and goes to where they are. */
  pick(ops) {
    this.selection.pick(ops);
    this.camera.goTo(this.selection.operators(), this.search.covers);
  }

  walk(direction) {
    const centre = this.camera.centre();
    const distance = (node) => Math.hypot(node.renderedPosition('x') - centre.x, node.renderedPosition('y') - centre.y);
    const start = this.cy.nodes('.op').min(distance).ele;
    if (this.selection.walk(direction, start)) this.camera.bringIntoSight(this.selection.operators());
    else this.say(`Nothing ${direction === 'up' ? 'read' : direction === 'down' ? 'reads it' : 'beside it'}`);
  }

  /** Enter: a folded subgraph is unfolded, an operator shows its card. */
  open() {
    const node = this.selection.operators().last();
    if (node.nonempty() && node.hasClass('folded')) this.fold(node.data('subgraph'));
    else this.card.toggleAt(node);
  }

  foldSelected() {
    const node = this.selection.operators().last();
    if (node.nonempty()) this.fold(node.data('subgraph'));
  }

  /** Asks Python for another drawing in which a subgraph of several operators is folded, or no longer. */
  fold(subgraph) {
    if (this.cy.getElementById(`S${subgraph}`).nonempty()) this.request({ kind: 'fold', subgraph });
  }

  showShapes(on = false) {
    this.shapes = on;
    this.find('shapes').setAttribute('aria-checked', String(on));
    this.cy.batch(() => this.cy.edges().toggleClass('shaped', on));
  }

  toggleHelp(show = this.find('help').hidden) {
    this.find('help').hidden = !show;
  }

  /** Opening it focuses its first entry, closing it gives the focus back. */
  toggleMenu(show = this.find('menu').hidden) {
    const menu = this.find('menu');
    const focused = menu.contains(menu.getRootNode().activeElement);
    menu.hidden = !show;
    this.find('more').setAttribute('aria-expanded', String(show));
    if (show) menu.querySelector('button').focus();
    else if (focused) this.find('more').focus();
  }

  /** One legend at a time: that of the marks, else that of the colours, else that of the drawing. */
  showLegend() {
    this.find('marks-legend').hidden = !this.marks.speaks;
    this.find('colours-legend').hidden = this.marks.speaks || !this.colours.speaks;
    this.find('own-legend').hidden = this.marks.speaks || this.colours.speaks;
  }

  reflectLasso() {
    this.find('lasso').setAttribute('aria-pressed', String(this.lasso.active));
    if (this.lasso.active) this.card.hide();
  }

  /** Says what is selected, also to screen readers. */
  announce() {
    const nodes = this.selection.operators();
    const names = nodes.map((node) => (node.scratch('part') ? `part of ${node.data('name')}` : node.data('name')));
    const first = names.slice(0, 5).join(', ') + (names.length > 5 ? ' and more' : '');
    this.say(names.length ? `${this.selection.ids().length} selected: ${first}${names.length === 1 ? around(nodes.first()) : ''}` : '');
  }

  say(text) {
    this.find('status').textContent = text;
  }

  /** After `rest`: it will not come back. */
  destroy() {
    clearTimeout(this.pause);
    this.cy.renderer().destroyed = false; // else it would keep its listeners
    this.cy.destroy();
  }
}

/** Where a node is: its subgraph, and how many edges lead to it and from it. */
function around(node) {
  const inside = operatorsOf(node).length > 1 ? '' : `S${node.data('subgraph')}, `;
  return ` (${inside}${node.incomers('edge').length} in, ${node.outgoers('edge').length} out)`;
}

/** Elements with the behaviour that all of a kind share: dragging any of them pans, only operators can be selected. */
function prepared(elements) {
  return elements.map((element) => {
    const operator = element.classes.startsWith('op');
    return { ...element, selectable: operator, grabbable: false, pannable: true };
  });
}

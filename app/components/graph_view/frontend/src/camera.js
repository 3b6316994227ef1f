// Pan and zoom. The drawing fits the panel until the user moves the camera; from then on the camera stays where it is.
import { operatorsOf } from './places.js';

const PADDING = 16;
const MOTION_MS = 250;
const READABLE = 0.8;

export class Camera {
  /** `onMove` is called when the user has moved it, by any means. */
  constructor(cy, places, onMove) {
    this.cy = cy;
    this.places = places;
    this.onMove = onMove;
    this.moved = false;
    cy.on('dragpan scrollzoom pinchzoom', () => this.movedByUser());
  }

  movedByUser() {
    this.moved = true;
    this.onMove();
  }

  fit() {
    this.moved = false;
    this.cy.stop();
    this.cy.fit(undefined, PADDING);
    if (this.cy.zoom() > 1.25) {
      this.cy.zoom(1.25);
      this.cy.center();
    }
  }

  /** About a selected operator in sight, else about the centre. */
  zoomBy(factor) {
    const selected = this.cy.nodes('.op:selected').filter((node) => this.inSight(node));
    const pivot = selected.nonempty() ? selected.first().renderedPosition() : this.centre();
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: { ...pivot } });
    this.movedByUser();
  }

  panBy(x, y) {
    this.cy.panBy({ x, y });
    this.movedByUser();
  }

  /** Puts a point of the drawing into the middle. */
  panTo({ x, y }) {
    const zoom = this.cy.zoom();
    this.cy.pan({ x: this.cy.width() / 2 - zoom * x, y: this.cy.height() / 2 - zoom * y });
    this.movedByUser();
  }

  centre() {
    return { x: this.cy.width() / 2, y: this.cy.height() / 2 };
  }

  /** Where another panel's camera is: by the operator next to its centre, since the two drawings differ. */
  follow({ anchor, zoom }) {
    if (!anchor) {
      this.fit();
      return;
    }
    this.cy.stop();
    this.moved = true;
    this.cy.zoom(zoom);
    this.hold(anchor);
  }

  whereabouts() {
    return { anchor: this.anchor(), zoom: this.cy.zoom() };
  }

  /** A panel that comes back with the size that it had needs nothing. */
  resized() {
    const { clientWidth, clientHeight } = this.cy.container();
    const size = `${clientWidth}×${clientHeight}`;
    if (size === this.size) return;
    this.size = size;
    this.cy.resize();
    if (!this.moved) this.fit();
  }

  /** The operator to keep in place when the drawing changes: a selected one in sight, else the one next to the centre. */
  anchor() {
    if (!this.moved) return null;
    const centre = this.centre();
    const distance = (node) => {
      const { x, y } = node.renderedPosition();
      return Math.hypot(x - centre.x, y - centre.y);
    };
    const selected = this.cy.nodes('.op:selected').filter((node) => this.inSight(node));
    const candidates = selected.nonempty() ? selected : this.cy.nodes('.op');
    if (candidates.empty()) return null;
    const nearest = candidates.min(distance).ele;
    const at = nearest.renderedPosition();
    return { op: operatorsOf(nearest)[0], at: { x: at.x / this.cy.width(), y: at.y / this.cy.height() } };
  }

  reloaded(anchor) {
    if (!this.moved || !anchor || this.places.node(anchor.op).empty()) this.fit();
    else this.hold(anchor);
  }

  /** Pans so that an operator is where it was: at a share of the panel's width and height. */
  hold({ op, at }) {
    const node = this.places.node(op);
    if (node.empty()) return;
    const now = node.renderedPosition();
    this.cy.panBy({ x: at.x * this.cy.width() - now.x, y: at.y * this.cy.height() - now.y });
  }

  inSight(node) {
    const { x, y } = node.renderedPosition();
    return x > 0 && y > 0 && x < this.cy.width() && y < this.cy.height();
  }

  /** Pans, and zooms out if need be, so that `nodes` can be seen; does nothing if any of them already can. */
  bringIntoSight(nodes) {
    if (nodes.empty() || nodes.some((node) => this.inSight(node))) return;
    this.show(nodes, this.cy.zoom());
  }

  /** Pans and zooms so that `nodes` are in the middle, below what covers the top, and can be read. */
  goTo(nodes, covered = 0) {
    if (nodes.nonempty()) this.show(nodes, Math.max(this.cy.zoom(), READABLE), covered);
  }

  show(nodes, zoomAtMost, covered = 0) {
    const box = nodes.boundingBox();
    const height = this.cy.height() - covered;
    if (Math.min(this.cy.width(), height) <= 4 * PADDING) return; // not laid out yet: it will be fitted then
    const room = Math.min((this.cy.width() - 4 * PADDING) / box.w, (height - 4 * PADDING) / box.h);
    const zoom = Math.min(zoomAtMost, room);
    const target = {
      zoom,
      pan: {
        x: this.cy.width() / 2 - (zoom * (box.x1 + box.x2)) / 2,
        y: covered + height / 2 - (zoom * (box.y1 + box.y2)) / 2,
      },
    };
    this.moved = true;
    if (window.matchMedia('(prefers-reduced-motion: reduce)').matches) this.cy.viewport(target);
    else this.cy.animate(target, { duration: MOTION_MS });
  }
}

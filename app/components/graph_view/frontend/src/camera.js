// Pan and zoom. The drawing fits the panel until the user moves the camera; from then on the camera stays where it is.
const PADDING = 16;
const MOTION_MS = 250;

export class Camera {
  constructor(cy) {
    this.cy = cy;
    this.moved = false;
    cy.on('dragpan scrollzoom pinchzoom', () => { this.moved = true; });
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

  zoomBy(factor) {
    this.moved = true;
    const centre = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: centre });
  }

  panBy(x, y) {
    this.moved = true;
    this.cy.panBy({ x, y });
  }

  resized() {
    this.cy.resize();
    if (!this.moved) this.fit();
  }

  /** The operator to keep in place when the drawing changes: a selected one in sight, else the one next to the centre. */
  anchor() {
    if (!this.moved) return null;
    const centre = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    const distance = (node) => {
      const { x, y } = node.renderedPosition();
      return Math.hypot(x - centre.x, y - centre.y);
    };
    const selected = this.cy.nodes('.op:selected').filter((node) => this.inSight(node));
    const candidates = selected.nonempty() ? selected : this.cy.nodes('.op');
    if (candidates.empty()) return null;
    const nearest = candidates.min(distance).ele;
    return { id: nearest.id(), at: { ...nearest.renderedPosition() } };
  }

  reloaded(anchor) {
    const node = anchor && this.cy.getElementById(anchor.id);
    if (!this.moved || !node || node.empty()) {
      this.fit();
      return;
    }
    const now = node.renderedPosition();
    this.cy.panBy({ x: anchor.at.x - now.x, y: anchor.at.y - now.y });
  }

  inSight(node) {
    const { x, y } = node.renderedPosition();
    return x > 0 && y > 0 && x < this.cy.width() && y < this.cy.height();
  }

  /** Pans, and zooms out if need be, so that `nodes` can be seen; does nothing if any of them already can. */
  bringIntoSight(nodes) {
    if (nodes.empty() || nodes.some((node) => this.inSight(node))) return;
    this.moved = true;
    const box = nodes.boundingBox();
    const room = Math.min((this.cy.width() - 4 * PADDING) / box.w, (this.cy.height() - 4 * PADDING) / box.h);
    const zoom = Math.min(this.cy.zoom(), room);
    const target = {
      zoom,
      pan: {
        x: this.cy.width() / 2 - (zoom * (box.x1 + box.x2)) / 2,
        y: this.cy.height() / 2 - (zoom * (box.y1 + box.y2)) / 2,
      },
    };
    if (window.matchMedia('(prefers-reduced-motion: reduce)').matches) this.cy.viewport(target);
    else this.cy.animate(target, { duration: MOTION_MS });
  }
}

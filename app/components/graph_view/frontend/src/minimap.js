// The mini map: all nodes in a corner, and what the panel shows of them as a rectangle to drag. It hides while all is in sight, and for
// small graphs, where it would only be in the way.
const FEWEST = 60;
const WIDTH = 150;
const HEIGHT = 110;

export class MiniMap {
  constructor(cy, canvas, camera) {
    this.cy = cy;
    this.canvas = canvas;
    this.camera = camera;
    this.picture = document.createElement('canvas');
    this.stale = true;
    cy.on('viewport resize', () => this.later());
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag(event);
    });
    canvas.addEventListener('pointermove', (event) => { if (event.buttons) this.drag(event); });
  }

  /** The drawing or its colours have changed. */
  changed() {
    this.stale = true;
    this.later();
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = null; this.draw(); });
  }

  draw() {
    if (this.cy.destroyed()) return;
    if (this.stale) this.measure();
    const view = this.cy.extent();
    const all = this.box;
    const inSight = view.x1 <= all.x1 && view.y1 <= all.y1 && view.x2 >= all.x2 && view.y2 >= all.y2;
    this.canvas.hidden = inSight || this.cy.nodes('.op').length < FEWEST;
    if (this.canvas.hidden) return;
    if (this.stale) this.paint();
    const context = this.canvas.getContext('2d');
    const ratio = this.ratio;
    this.canvas.width = this.picture.width;
    this.canvas.height = this.picture.height;
    context.drawImage(this.picture, 0, 0);
    context.strokeStyle = getComputedStyle(this.canvas).color;
    context.lineWidth = 2 * ratio;
    const [x1, y1, x2, y2] = [...this.place(view.x1, view.y1), ...this.place(view.x2, view.y2)];
    const clip = (value, end) => Math.min(Math.max(value, ratio), end - ratio);
    const [left, top] = [clip(x1, this.canvas.width), clip(y1, this.canvas.height)];
    context.strokeRect(left, top, clip(x2, this.canvas.width) - left, clip(y2, this.canvas.height) - top);
  }

  measure() {
    const all = this.cy.nodes().boundingBox({ includeLabels: false, includeOverlays: false });
    this.box = all;
    this.scale = Math.min(WIDTH / Math.max(all.w, 1), HEIGHT / Math.max(all.h, 1));
    this.ratio = window.devicePixelRatio || 1;
    this.picture.width = Math.max(1, Math.ceil(all.w * this.scale * this.ratio));
    this.picture.height = Math.max(1, Math.ceil(all.h * this.scale * this.ratio));
    this.canvas.style.width = `${this.picture.width / this.ratio}px`;
    this.canvas.style.height = `${this.picture.height / this.ratio}px`;
  }

  paint() {
    this.stale = false;
    const context = this.picture.getContext('2d');
    const scale = this.scale * this.ratio;
    this.cy.nodes().forEach((node) => {
      const { x, y } = node.position();
      const [w, h] = [node.data('w'), node.data('h')];
      context.fillStyle = node.style(node.hasClass('complex') || node.hasClass('painted') ? 'background-color' : 'border-color');
      context.globalAlpha = node.hasClass('box') && !node.hasClass('painted') ? 0.25 : 1;
      const [left, top] = this.place(x - w / 2, y - h / 2);
      context.fillRect(left, top, Math.max(1, w * scale), Math.max(1, h * scale));
    });
  }

  /** A point of the drawing in the map's pixels. */
  place(x, y) {
    const scale = this.scale * this.ratio;
    return [(x - this.box.x1) * scale, (y - this.box.y1) * scale];
  }

  drag(event) {
    const area = this.canvas.getBoundingClientRect();
    this.camera.panTo({
      x: this.box.x1 + (event.clientX - area.left) / this.scale,
      y: this.box.y1 + (event.clientY - area.top) / this.scale,
    });
  }
}

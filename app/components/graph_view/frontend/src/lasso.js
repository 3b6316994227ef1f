// Free-hand selection: while it is on, a canvas over the graph takes the pointer and draws the outline.
export class Lasso {
  constructor(overlay, onDone, onToggle) {
    this.overlay = overlay;
    this.onDone = onDone;
    this.onToggle = onToggle;
    this.active = false;
    this.points = null;
    overlay.addEventListener('pointerdown', (event) => this.start(event));
    overlay.addEventListener('pointermove', (event) => this.move(event));
    overlay.addEventListener('pointerup', (event) => this.finish(event));
    overlay.addEventListener('pointercancel', () => this.drop());
  }

  toggle(on = !this.active) {
    this.active = on;
    this.overlay.classList.toggle('active', on);
    this.drop();
    this.onToggle();
  }

  start(event) {
    this.overlay.width = this.overlay.clientWidth;
    this.overlay.height = this.overlay.clientHeight;
    this.overlay.setPointerCapture(event.pointerId);
    this.points = [this.at(event)];
  }

  move(event) {
    if (!this.points) return;
    this.points.push(this.at(event));
    this.draw();
  }

  finish(event) {
    const polygon = this.points;
    this.toggle(false);
    if (polygon && polygon.length > 2) this.onDone(polygon, event.shiftKey);
  }

  drop() {
    this.points = null;
    this.overlay.getContext('2d').clearRect(0, 0, this.overlay.width, this.overlay.height);
  }

  at(event) {
    const area = this.overlay.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  }

  draw() {
    const context = this.overlay.getContext('2d');
    const colour = getComputedStyle(this.overlay).color;
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    context.beginPath();
    this.points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.globalAlpha = 0.15;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = colour;
    context.stroke();
  }
}

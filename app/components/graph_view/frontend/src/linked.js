// Cameras of several panels that follow each other while the user wants it. The panels of a page share one switch.
const shared = (globalThis.agoGraphLinked ??= { on: false, views: new Set() });

export class Linked {
  /** `reflect` is called when the switch is turned, in any panel. */
  constructor(camera, reflect) {
    this.camera = camera;
    this.reflect = reflect;
  }

  /** The panel is on the page, or back on it. */
  join() {
    shared.views.add(this);
    this.reflect();
  }

  get on() {
    return shared.on;
  }

  toggle() {
    shared.on = !shared.on;
    shared.views.forEach((view) => view.reflect());
    if (shared.on) this.moved();
  }

  /** The user has moved this panel's camera: the others follow with the next frame. */
  moved() {
    if (!shared.on || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      const whereabouts = this.camera.whereabouts();
      shared.views.forEach((view) => { if (view !== this) view.camera.follow(whereabouts); });
    });
  }

  leave() {
    shared.views.delete(this);
  }
}

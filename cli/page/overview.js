// All of a trace in a strip. Dragging over it zooms the waterfall in; a double click shows all again.

import { h } from "./dom.js";
import { hue } from "./text.js";

const HIGH = 56;

export class Overview {
  constructor(tree, zoom) {
    this.tree = tree;
    this.range = [0, tree.total];
    this.canvas = h("canvas", { height: HIGH, "aria-hidden": "true" });
    this.mark = h("span", { class: "window" });
    this.element = h("div", { class: "overview", title: "Drag to zoom in; double click for all" }, this.canvas, this.mark);
    let from = null;
    const time = (event) => {
      const box = this.element.getBoundingClientRect();
      return (Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1)) * tree.total;
    };
    this.element.addEventListener("pointerdown", (event) => {
      from = time(event);
      this.element.setPointerCapture(event.pointerId);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (from !== null) this.#show(Math.min(from, time(event)), Math.max(from, time(event)));
    });
    this.element.addEventListener("pointerup", (event) => {
      const to = time(event), began = from;
      from = null;
      if (began === null) return;
      if (Math.abs(to - began) > tree.total / 200) zoom(Math.min(began, to), Math.max(began, to));
      else this.#show(...this.range);
    });
    this.element.addEventListener("dblclick", () => zoom(0, tree.total));
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = () => this.draw();
    this.dark.addEventListener("change", this.redraw);
    this.watcher = new ResizeObserver(this.redraw);
    this.watcher.observe(this.element);
  }

  close() {
    this.dark.removeEventListener("change", this.redraw);
    this.watcher.disconnect();
  }

  zoomed(range) {
    this.range = range;
    this.#show(...range);
  }

  #show(from, to) {
    const { total } = this.tree;
    this.mark.style.left = `${(100 * from) / total}%`;
    this.mark.style.width = `${(100 * (to - from)) / total}%`;
    this.mark.hidden = from <= 0 && to >= total;
  }

  draw() {
    const { tree, canvas } = this;
    const width = this.element.clientWidth;
    if (!width) return;
    canvas.width = width;
    const context = canvas.getContext("2d");
    const error = getComputedStyle(this.element).getPropertyValue("--error").trim();
    const step = HIGH / tree.spans.length;
    tree.spans.forEach((span, at) => {
      context.fillStyle = tree.isError(at) ? error : `hsl(${hue(span.service ?? "")} 55% ${this.dark.matches ? 60 : 45}%)`;
      context.fillRect((tree.starts[at] / tree.total) * width, at * step, Math.max((tree.lengths[at] / tree.total) * width, 1), Math.max(step * 0.8, 0.5));
    });
    this.#show(...this.range);
  }
}

// A small plot: values over time, as SVG whose unit is one pixel of the screen.

import { shape } from "./overlay.js";
import { byId, setText, when } from "./words.js";

const TOP = 12, BOTTOM = 14, RIGHT = 8; // pixels of the screen around the line
const CHARACTER = 7.2; // of a number at the side
const GAP = 8;
const LONGEST = 10; // characters at the side

/** A text as a number; null where it is none. */
export function numberOf(text) {
  return text != null && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}

const shortened = (text) => text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;

export class Plot {
  constructor() {
    this._svg = byId("plot");
    this._points = [];
    this._name = "";
    new ResizeObserver(() => this._draw()).observe(this._svg);
    this._svg.addEventListener("pointermove", (event) => this._point(event));
    this._svg.addEventListener("pointerdown", (event) => this._point(event));
    this._svg.addEventListener("pointerleave", () => this._draw());
  }

  /** points: [{record, number, shown}] from the oldest on, number null where there is no value. */
  show(points, name) {
    const first = points.findIndex(({ number }) => number !== null);
    this._points = points.slice(Math.max(0, first));
    this._name = name;
    this._draw();
  }

  _draw() {
    const { clientWidth: width, clientHeight: height } = this._svg;
    const valued = this._points.filter(({ number }) => number !== null);
    if (!width || !valued.length) {
      this._svg.replaceChildren();
      this._places = [];
      this._svg.setAttribute("aria-label", `${this._name}: no values yet`);
      setText(byId("plot-words"), this._points.length ? "These readings are no numbers." : "");
      return;
    }
    const numbers = valued.map(({ number }) => number);
    const low = Math.min(...numbers), high = Math.max(...numbers);
    const shownOf = (number) => shortened(valued.find((point) => point.number === number).shown);
    const left = Math.max(shownOf(low).length, shownOf(high).length) * CHARACTER + GAP;
    const y = (number) => high === low
      ? (TOP + height - BOTTOM) / 2
      : TOP + ((high - number) / (high - low)) * (height - TOP - BOTTOM);
    const positions = this._positions();
    const first = positions[0], span = positions.at(-1) - first || 1;
    const x = (index) => this._points.length === 1
      ? width - RIGHT
      : left + ((positions[index] - first) / span) * (width - left - RIGHT);
    this._places = this._points
      .map((point, index) => ({ point, x: x(index), y: point.number === null ? null : y(point.number) }))
      .filter((place) => place.y !== null);

    const drawn = [];
    for (const edge of new Set([high, low])) {
      drawn.push(
        shape("line", { class: "plot-grid", x1: left, x2: width - RIGHT, y1: y(edge), y2: y(edge) }),
        shape("text", { class: "plot-scale", x: left - GAP, y: y(edge) + 4, "text-anchor": "end" }, shownOf(edge)),
      );
    }
    for (const run of this._runs(x, y)) {
      const line = run.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L");
      const floor = height - BOTTOM + 6;
      drawn.push(
        shape("path", { class: "plot-area", d: `M${run[0][0]} ${floor}L${line}L${run.at(-1)[0]} ${floor}Z` }),
        shape("path", { class: "plot-line", d: `M${line}${run.length === 1 ? "h.1" : ""}` }),
      );
    }
    this._dot = shape("circle", { class: "plot-dot", r: 5 });
    this._svg.replaceChildren(...drawn, this._dot);
    this._mark(this._places.at(-1));
    const words = `${this._name}: ${valued.length} values from ${shownOf(low)} to ${shownOf(high)}`;
    this._svg.setAttribute("aria-label", `${words}, last ${valued.at(-1).shown}`);
  }

  /** Where each point stands from left to right: its time, or its place in the row while any has none. */
  _positions() {
    const times = this._points.map(({ record }) => Date.parse(record.time));
    const ordered = times.every((time, index) => time >= (times[index - 1] ?? -Infinity));
    return ordered ? times : this._points.map((_, index) => index);
  }

  /** The pieces of the line: it breaks where there is no value. */
  _runs(x, y) {
    const runs = [[]];
    this._points.forEach(({ number }, index) => {
      if (number === null) runs.push([]);
      else runs.at(-1).push([x(index), y(number)]);
    });
    return runs.filter((run) => run.length);
  }

  _mark({ point, x, y }) {
    this._dot.setAttribute("cx", x);
    this._dot.setAttribute("cy", y);
    setText(byId("plot-words"), `${point.shown} at ${when(point.record)}`);
  }

  _point(event) {
    if (!this._places.length) return;
    const at = event.clientX - this._svg.getBoundingClientRect().left;
    this._mark(this._places.reduce((best, place) => Math.abs(place.x - at) < Math.abs(best.x - at) ? place : best));
  }
}

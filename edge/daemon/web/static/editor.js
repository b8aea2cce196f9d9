// Drawing, naming, moving, resizing, deleting and saving the fields, over the live picture.

import { get, send } from "./api.js";
import { drawField, layer, shape } from "./overlay.js";
import { announce, byId, element, say, setText } from "./words.js";

const SMALLEST = 8; // pixels of the screen: a smaller box was a tap
const HANDLE = 6, HANDLE_REACH = 18; // radius in pixels of the screen: what is seen, and what a finger hits
const STEP = 2, LARGE_STEP = 10; // pixels of the screen that an arrow key moves a box by
const PART_DECIMALS = 4, UNIT_DECIMALS = 2; // of boxes that are parts of the page, or in its unit
const NEW_BOX = [0.3, 0.4, 0.4, 0.2]; // parts of the page: where a field stands that was added without drawing
const CORNERS = { nw: [0, 0], ne: [1, 0], sw: [0, 1], se: [1, 1] };
const NO_FIELD = {
  pattern: null,
  length: null,
  cells: null,
  skip_marks: false,
  decimals: 0,
  never_decreasing: false,
  largest_step: null,
  roll_over: null,
  unit: "",
  device_class: "",
};
const NUMBERS = ["length", "cells", "decimals", "largest_step", "roll_over"];
const FLAGS = ["never_decreasing", "skip_marks"];
const TEXTS = ["pattern", "unit", "device_class"];
const BOX = ["x", "y", "w", "h"];

const between = (low, value, high) => Math.max(low, Math.min(high, value));

export class FieldEditor {
  /** onChange: called when editing begins or ends, and when other fields are in force. */
  constructor({ onChange }) {
    this.editing = false;
    this._onChange = onChange;
    this._saved = { editable: false, fields: [], size: null, deskew: null };
    this._fields = [];
    this._selected = null; // a field of this._fields
    this._groups = new Map(); // a field's SVG group
    this._extent = null;
    this._form = byId("field-form");
    this._listen();
  }

  /** The units of the saved fields, by name. */
  get units() {
    return new Map(this._saved.fields.map(({ name, unit }) => [name, unit]));
  }

  /** Takes its place on the picture's overlay. */
  mount(svg) {
    this._svg = svg;
    this._layer = layer(svg, "editor-layer");
    svg.addEventListener("pointerdown", (event) => this._down(event));
    svg.addEventListener("pointermove", (event) => this._move(event));
    svg.addEventListener("pointerup", (event) => this._up(event));
    svg.addEventListener("pointercancel", (event) => this._cancel(event));
  }

  /** Asks for the fields in force; what is being edited stays. Raises what `get` does. */
  async refresh() {
    const answer = await get("/api/fields", { format: "json" });
    if (this.editing) return;
    this._saved = answer;
    this._show();
    this._onChange();
  }

  /** Draws the fields that are edited. extent: width and height of the overlay on the screen. */
  draw(extent = this._extent) {
    this._extent = extent;
    if (!this.editing || !extent || !this._placeable) {
      this._layer.replaceChildren();
      this._groups.clear();
      return;
    }
    for (const [field, group] of this._groups) {
      if (this._fields.includes(field)) continue;
      group.remove();
      this._groups.delete(field);
    }
    for (const field of this._fields) this._drawOne(field);
  }

  _listen() {
    byId("edit").addEventListener("click", () => this._begin());
    byId("discard-fields").addEventListener("click", () => this._discard());
    byId("save-fields").addEventListener("click", () => this._save());
    byId("add-field").addEventListener("click", () => this._add(NEW_BOX));
    byId("delete-field").addEventListener("click", () => this._delete());
    this._form.addEventListener("input", () => this._readForm());
    this._form.addEventListener("submit", (event) => {
      event.preventDefault();
      this._save();
    });
    addEventListener("beforeunload", (event) => {
      if (this.editing && this._dirty) event.preventDefault();
    });
  }

  /** Whether the boxes stand on the picture as it is: a page that is straightened first has its own measure. */
  get _placeable() {
    return !this._saved.deskew;
  }

  get _page() {
    return this._saved.size ?? [1, 1];
  }

  get _dirty() {
    return JSON.stringify(this._fields) !== JSON.stringify(this._saved.fields);
  }

  // Between the units of the boxes and the pixels of the screen.

  _onScreen([x, y, w, h]) {
    const { width, height } = this._extent;
    const [pageWidth, pageHeight] = this._page;
    return [(x / pageWidth) * width, (y / pageHeight) * height, (w / pageWidth) * width, (h / pageHeight) * height];
  }

  _onPage([x, y, w, h]) {
    const { width, height } = this._extent;
    const [pageWidth, pageHeight] = this._page;
    const decimals = this._saved.size ? UNIT_DECIMALS : PART_DECIMALS;
    const rounded = (value) => Number(value.toFixed(decimals));
    const [left, top] = [rounded((x / width) * pageWidth), rounded((y / height) * pageHeight)];
    const right = Math.min(rounded(((x + w) / width) * pageWidth), pageWidth);
    const bottom = Math.min(rounded(((y + h) / height) * pageHeight), pageHeight);
    return [left, top, rounded(right - left), rounded(bottom - top)];
  }

  _at(event) {
    const place = this._svg.getBoundingClientRect();
    return [
      between(0, event.clientX - place.left, place.width),
      between(0, event.clientY - place.top, place.height),
    ];
  }

  // Beginning and ending.

  _begin() {
    this.editing = true;
    this._fields = structuredClone(this._saved.fields);
    this._selected = null;
    say(byId("editor-error"), "");
    this._show();
    this._onChange();
  }

  _end() {
    this.editing = false;
    this._selected = null;
    this._show();
    this._onChange();
  }

  _discard() {
    if (this._dirty && !confirm("Discard what you changed?")) return;
    say(byId("editor-error"), "");
    this._end();
    byId("edit").focus();
  }

  async _save() {
    if (!this._checkForm()) return;
    const button = byId("save-fields");
    button.disabled = true;
    say(byId("editor-error"), "");
    try {
      const { size, deskew } = this._saved;
      await send("PUT", "/api/fields", { fields: this._fields, size, deskew });
      this._saved = { ...this._saved, fields: this._fields };
      this._end();
      announce("Fields saved.");
      byId("edit").focus();
    } catch (error) {
      say(byId("editor-error"), error.message);
      const named = this._fields.find(({ name }) => error.message.includes(`'${name}'`));
      if (named) this._select(named);
    } finally {
      button.disabled = false;
    }
  }

  /** Whether every field has a name of its own and the open form can be sent; says what is wrong. */
  _checkForm() {
    if (this._selected && !this._form.reportValidity()) return false;
    const names = this._fields.map(({ name }) => name);
    const twice = this._fields.find(({ name }, index) => names.indexOf(name) !== index);
    if (!twice) return true;
    say(byId("editor-error"), `Two fields are named '${twice.name}'; give one of them another name.`);
    this._select(twice);
    return false;
  }

  // What there is to see.

  _show() {
    const { editing } = this;
    byId("live").classList.toggle("editing", editing && this._placeable);
    for (const id of ["add-field", "discard-fields", "save-fields"]) byId(id).hidden = !editing;
    byId("edit").hidden = editing || !this._saved.editable;
    setText(byId("editor-help"), this._help());
    this._showList();
    this._showForm();
    this.draw();
  }

  _help() {
    if (!this._saved.editable) return this._saved.fields.length ? "These fields are fixed in the configuration." : "";
    if (!this.editing) {
      return this._saved.fields.length ? "" : "None: the whole picture is read. Draw boxes to read numbers by name.";
    }
    if (!this._placeable) {
      return "The page is straightened before its fields are looked for, so they cannot be drawn here: "
        + "give their places in numbers, below More.";
    }
    return "Draw a box around each number. Drag it to move it, its corners to resize it.";
  }

  _showList() {
    const fields = this.editing ? this._fields : this._saved.fields;
    const items = fields.map((field) => {
      if (!this.editing) return element("li", {}, element("span", { text: field.name }));
      const pressed = String(field === this._selected);
      const button = element("button", { type: "button", text: field.name || "(no name)", "aria-pressed": pressed });
      button.addEventListener("click", () => this._select(field));
      return element("li", {}, button);
    });
    byId("field-list").replaceChildren(...items);
  }

  _showForm() {
    const field = this._selected;
    this._form.hidden = !field;
    if (!field) return;
    this._input("name").value = field.name;
    for (const key of FLAGS) this._input(key).checked = field[key];
    for (const key of [...NUMBERS, ...TEXTS]) this._input(key).value = field[key] ?? "";
    if (!field.decimals) this._input("decimals").value = "";
    this._showBox();
  }

  _input(key) {
    return this._form.elements.namedItem(key); // not elements[key]: "length" is theirs
  }

  _showBox() {
    BOX.forEach((key, index) => {
      this._input(key).value = this._selected.box[index];
    });
  }

  _readForm() {
    const field = this._selected;
    field.name = this._input("name").value.trim();
    for (const key of FLAGS) field[key] = this._input(key).checked;
    for (const key of NUMBERS) {
      const { value, valueAsNumber } = this._input(key);
      field[key] = value === "" ? NO_FIELD[key] : valueAsNumber;
    }
    for (const key of TEXTS) field[key] = this._input(key).value.trim() || NO_FIELD[key];
    const box = BOX.map((key) => this._input(key).valueAsNumber);
    if (!box.some(Number.isNaN)) field.box = box;
    this._showList();
    this.draw();
  }

  _select(field) {
    this._selected = field;
    this._showList();
    this._showForm();
    this.draw();
  }

  _drawOne(field) {
    let group = this._groups.get(field);
    if (!group) {
      group = shape("g", { tabindex: 0, role: "button" });
      group.addEventListener("keydown", (event) => this._key(event, field));
      group.addEventListener("focus", () => this._selected !== field && this._select(field));
      this._groups.set(field, group);
      this._layer.append(group);
    }
    const box = this._onScreen(field.box);
    const chosen = field === this._selected;
    group.setAttribute("class", `field-group${chosen ? " selected" : ""}`);
    group.setAttribute("aria-label", `Field ${field.name}: arrow keys move it, with Shift they resize it`);
    group.dataset.name = field.name;
    drawField(group, field.name || "(no name)", box, this._extent);
    if (!chosen) return;
    const [x, y, width, height] = box;
    for (const [corner, [right, bottom]] of Object.entries(CORNERS)) {
      const place = { cx: x + right * width, cy: y + bottom * height };
      group.append(
        shape("circle", { class: "handle", r: HANDLE, ...place }),
        shape("circle", { class: `handle-reach ${corner}`, "data-corner": corner, r: HANDLE_REACH, ...place }),
      );
    }
    if (this._layer.lastChild !== group && !group.contains(document.activeElement)) this._layer.append(group);
  }

  // By mouse and by finger.

  _down(event) {
    if (!this.editing || !this._placeable || !this._extent || this._drag || event.button !== 0) return;
    event.preventDefault();
    const group = event.target.closest(".field-group");
    const field = [...this._groups].find(([, drawn]) => drawn === group)?.[0];
    const corner = event.target.dataset.corner;
    if (field && field !== this._selected) this._select(field);
    const before = field?.box;
    this._drag = { pointer: event.pointerId, start: this._at(event), field, corner, before, drawn: null };
    if (field) {
      this._drag.box = this._onScreen(field.box);
      group.focus({ preventScroll: true });
    }
    this._svg.setPointerCapture(event.pointerId);
  }

  _move(event) {
    const drag = this._drag;
    if (!drag || drag.pointer !== event.pointerId) return;
    const [x, y] = this._at(event);
    const [startX, startY] = drag.start;
    if (!drag.field) {
      this._draft([Math.min(x, startX), Math.min(y, startY), Math.abs(x - startX), Math.abs(y - startY)]);
      return;
    }
    const moved = [x - startX, y - startY];
    drag.field.box = this._onPage(drag.corner ? this._resized(drag, moved) : this._shifted(drag.box, moved));
    this._showBox();
    this._drawOne(drag.field);
  }

  _up(event) {
    const drag = this._drag;
    if (!drag || drag.pointer !== event.pointerId) return;
    this._drag = null;
    if (drag.field) return;
    const box = drag.drawn;
    this._draft(null);
    if (box && box[2] >= SMALLEST && box[3] >= SMALLEST) this._add(this._onPage(box), event.pointerType);
    else this._select(null);
  }

  _cancel(event) {
    const drag = this._drag;
    if (!drag || drag.pointer !== event.pointerId) return;
    this._drag = null;
    this._draft(null);
    if (drag.field) drag.field.box = drag.before;
    this._select(this._selected);
  }

  /** Shows the box that is being drawn. */
  _draft(box) {
    this._drafted?.remove();
    this._drafted = null;
    if (!box) return;
    this._drag.drawn = box;
    const [x, y, width, height] = box;
    const drawn = shape("rect", { class: "field-box", x, y, width, height, rx: 3 });
    this._drafted = shape("g", { class: "selected" }, drawn);
    this._layer.append(this._drafted);
  }

  _shifted([x, y, w, h], [dx, dy]) {
    const { width, height } = this._extent;
    return [between(0, x + dx, width - w), between(0, y + dy, height - h), w, h];
  }

  _resized({ box: [x, y, w, h], corner }, [dx, dy]) {
    const { width, height } = this._extent;
    const [onRight, onBottom] = CORNERS[corner];
    const left = onRight ? x : between(0, x + dx, x + w - SMALLEST);
    const top = onBottom ? y : between(0, y + dy, y + h - SMALLEST);
    const right = onRight ? between(x + SMALLEST, x + w + dx, width) : x + w;
    const bottom = onBottom ? between(y + SMALLEST, y + h + dy, height) : y + h;
    return [left, top, right - left, bottom - top];
  }

  // By keyboard.

  _key(event, field) {
    const far = event.altKey ? LARGE_STEP : STEP;
    const ways = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
    if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this._delete();
    } else if (event.key === "Enter") {
      this._input("name").focus();
    } else if (event.key in ways) {
      event.preventDefault();
      const box = this._onScreen(field.box);
      const way = ways[event.key];
      field.box = this._onPage(event.shiftKey ? this._resized({ box, corner: "se" }, way) : this._shifted(box, way));
      this._showBox();
      this._drawOne(field);
    }
  }

  // Adding and deleting.

  /** box: in the unit of the boxes where it was drawn, else in parts of the page. drawnBy: kind of pointer. */
  _add(box, drawnBy = null) {
    const [width, height] = this._page;
    const placed = drawnBy ? box : box.map((length, index) => length * (index % 2 ? height : width));
    const field = { name: this._newName(), box: placed, ...NO_FIELD };
    this._fields.push(field);
    this._select(field);
    if (drawnBy === "touch") return; // the keyboard of a phone would cover the picture
    this._input("name").focus({ preventScroll: drawnBy !== null });
    this._input("name").select();
  }

  _newName() {
    const names = new Set(this._fields.map(({ name }) => name));
    let number = this._fields.length + 1;
    while (names.has(`field ${number}`)) number += 1;
    return `field ${number}`;
  }

  _delete() {
    this._fields = this._fields.filter((field) => field !== this._selected);
    this._select(null);
    byId("add-field").focus();
  }
}

// Correcting a misread digit: the digits of a reading, and the right text to send.

import { send } from "./api.js";
import { announce, byId, element, percent, say, when } from "./words.js";

const UNSURE = 0.8;
const GLYPH = 28; // pixels of a digit's picture, on a sheet with
const A_ROW = 32; // of them in a row
const REFUSED = "?";

/** Whether the middle of a digit lies in a box. */
function inside([x, y, width, height], [left, top, w, h]) {
  const middle = [x + width / 2, y + height / 2];
  return middle[0] >= left && middle[0] <= left + w && middle[1] >= top && middle[1] <= top + h;
}

export class Correction {
  /** onCorrected: called when a correction is kept. */
  constructor({ onCorrected }) {
    this._onCorrected = onCorrected;
    this._dialog = byId("correct");
    this._text = byId("correct-text");
    this._choice = byId("correct-field");
    byId("correct-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this._send();
    });
    byId("correct-cancel").addEventListener("click", () => this._dialog.close());
    this._text.addEventListener("input", () => this._drawTiles());
    this._text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || this._part.text.includes("\n")) return;
      event.preventDefault();
      byId("correct-form").requestSubmit();
    });
    this._choice.addEventListener("change", () => this._begin());
  }

  /** Opens the dialog for a record. */
  open(record) {
    this._record = record;
    this._glyphs = null;
    this._loadGlyphs(record);
    const names = record.fields.map(({ name }) => name);
    const options = names.map((name) => element("option", { value: name, text: name }));
    this._choice.replaceChildren(...options, element("option", { value: "", text: "the whole text" }));
    byId("correct-field-label").hidden = !names.length;
    byId("correct-when").textContent = `Reading ${record.sequence}, ${when(record)}`;
    this._dialog.showModal();
    this._begin();
  }

  /** The pictures of the digits, where they are kept. */
  _loadGlyphs(record) {
    const sheet = new Image();
    sheet.addEventListener("load", () => {
      if (this._record !== record) return;
      this._glyphs = sheet;
      this._drawTiles();
    });
    sheet.src = `/api/glyphs.png?sequence=${record.sequence}`;
  }

  /** A digit as the network saw it; its number counts all digits of the record. */
  _glyph(number) {
    const canvas = element("canvas", { width: GLYPH, height: GLYPH });
    const [x, y] = [(number % A_ROW) * GLYPH, Math.floor(number / A_ROW) * GLYPH];
    canvas.getContext("2d").drawImage(this._glyphs, x, y, GLYPH, GLYPH, 0, 0, GLYPH, GLYPH);
    return canvas;
  }

  /** Whether the text is about the digits that were read: as many characters as digits. */
  get _fits() {
    const { digits } = this._part;
    const typed = this._text.value.trim();
    // A model may have labels of several characters; those stand apart.
    const words = digits.some(({ label }) => label?.length > 1);
    return (words ? typed.split(/\s+/) : [...typed.replace(/\s/g, "")]).length === digits.length;
  }

  /** What is corrected: the digits of a field or all, with their text as read. */
  get _part() {
    const field = this._record.fields.find(({ name }) => name === this._choice.value);
    if (!field) return { field: null, text: this._record.text, digits: this._record.digits };
    const digits = this._record.digits.filter(({ box }) => inside(box, field.box));
    return { field: field.name, text: field.text, digits };
  }

  _begin() {
    const { text } = this._part;
    this._text.rows = Math.min(8, text.split("\n").length);
    this._text.value = text;
    say(byId("correct-error"), "");
    this._drawTiles();
    this._text.focus();
    this._text.select();
  }

  _drawTiles() {
    const { text, digits } = this._part;
    const typed = this._text.value.trim().split("\n");
    let index = 0;
    const lines = text.split("\n").map((line, row) => {
      const tiles = [...line].map((read, column) => {
        const digit = digits[index];
        index += 1;
        const now = typed[row]?.[column] ?? REFUSED;
        const kind = now !== read ? "changed" : read === REFUSED || digit?.confidence < UNSURE ? "unsure" : "";
        const small = now !== read ? `read ${read}` : digit ? percent(digit.confidence) : "";
        const tile = element("span", { className: `tile ${kind}` });
        if (this._glyphs && digit) tile.append(this._glyph(this._record.digits.indexOf(digit)));
        tile.append(element("b", { text: now }), element("small", { text: small }));
        return tile;
      });
      return element("div", { className: "tiles-line" }, ...tiles);
    });
    byId("correct-digits").replaceChildren(...lines);
    byId("correct-more").hidden = this._fits || !this._text.value.trim();
  }

  async _send() {
    const button = byId("correct-send");
    button.disabled = true;
    say(byId("correct-error"), "");
    try {
      const body = { sequence: this._record.sequence, field: this._part.field, text: this._text.value.trim() };
      if (!this._fits) body.glyphs = false;
      await send("POST", "/api/correct", body);
      this._dialog.close();
      announce(this._fits ? "Thank you: kept for the next training." : "Thank you: the right text is kept.");
      this._onCorrected();
    } catch (error) {
      say(byId("correct-error"), error.message);
    } finally {
      button.disabled = false;
    }
  }
}

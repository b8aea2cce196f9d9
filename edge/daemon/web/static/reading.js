// The current reading: its text large, its fields, when it was made, and why there is no newer one.

import { ConnectionLost, get, send } from "./api.js";
import { announce, byId, dateOf, duration, element, say, setText, when } from "./words.js";

const LONG_TEXT = 14; // characters or more than two lines: smaller letters
const MANY_LINES = 2;

/** The rows of a record's fields, or of one of another reading. units: by the field's name. */
export function fieldRows(fields, units = new Map()) {
  return fields.map(({ name, value, text, valid, reason }) => {
    const unit = units.get(name);
    const known = valid && value != null;
    const said = known ? `${value}${unit ? ` ${unit}` : ""}` : text || "no value";
    const row = element("div", {}, element("dt", { text: name }));
    row.append(element("dd", { text: said, className: known ? "" : "none" }));
    if (reason) row.append(element("dd", { text: reason, className: "reason" }));
    return row;
  });
}

export class CurrentReading {
  /** onRecord: called with a record that is new. */
  constructor({ onRecord, unitsOf }) {
    this._onRecord = onRecord;
    this._unitsOf = unitsOf;
    this._record = null;
    this._shownFields = "";
    setInterval(() => this._showAge(), 1000);
    byId("trigger").addEventListener("click", () => this._trigger());
  }

  /** Asks for the newest record; raises what `get` does. */
  async refresh() {
    const { record, verdict } = await get("/api/latest");
    this.showVerdict(verdict);
    this.show(record);
  }

  /** Shows a record, unless it is older than the one that is shown. */
  show(record) {
    const before = this._record;
    if (!record || (before && record.id === before.id)) return this._showAge();
    this._record = record;
    const text = record.text || "no digits";
    const output = byId("reading-text");
    setText(output, text);
    output.hidden = record.fields.length > 0;
    output.classList.toggle("long", text.length > LONG_TEXT || text.split("\n").length > MANY_LINES);
    this.showFields();
    this._showAge();
    this._onRecord(record);
  }

  /** Shows the fields' values; again where their units came later. */
  showFields() {
    const fields = this._record?.fields ?? [], units = this._unitsOf();
    const shown = JSON.stringify([fields, [...units]]);
    if (shown === this._shownFields) return;
    this._shownFields = shown;
    byId("reading-fields").replaceChildren(...fieldRows(fields, units));
  }

  /** Says why there is no stable reading now; nothing where there is one. */
  showVerdict(verdict) {
    say(byId("verdict"), verdict ? `No stable reading now: ${verdict}` : "");
  }

  _showAge() {
    if (!this._record) return;
    const date = dateOf(this._record.time);
    const ago = date ? `, ${duration((Date.now() - date) / 1000)} ago` : "; the device's clock is not set";
    const still = this._record.event === "heartbeat" ? "Unchanged at " : "Read at ";
    setText(byId("reading-when"), `${date ? still : "Reading "}${when(this._record)}${ago}`);
  }

  async _trigger() {
    const button = byId("trigger");
    button.disabled = true;
    say(byId("trigger-error"), "");
    try {
      const record = await send("POST", "/api/trigger");
      this.showVerdict("");
      this.show(record);
      announce("Read now.");
    } catch (error) {
      if (!(error instanceof ConnectionLost)) byId("reading").scrollIntoView({ block: "nearest" });
      say(byId("trigger-error"), error.message);
    } finally {
      button.disabled = false;
    }
  }
}

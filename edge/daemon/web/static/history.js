// The last readings as a list, newest first, and the plot of one of their values.

import { get } from "./api.js";
import { numberOf, Plot } from "./plot.js";
import { byId, element, when } from "./words.js";

const PAGE = 50; // readings asked for at once
// Shown at once: on a phone the list is no box that scrolls.
const FIRST = matchMedia("(max-width: 899px)").matches ? 8 : PAGE;
const MANY_LINES = 3;
const WHOLE = "text"; // the plot's choices are kept as "text", "line:1", "field:NAME"

/** What a choice of the plot shows of a record: its text, null where it has no value. */
function valueOf(record, choice) {
  const [kind, ...rest] = choice.split(":");
  if (kind === "line") return record.lines[Number(rest[0])] ?? null;
  if (kind === "field") {
    const field = record.fields.find(({ name }) => name === rest.join(":"));
    return field?.valid ? field.value : null;
  }
  return record.text;
}

/** Why a record has no value, or what its fields are refused for. */
function reasons(record) {
  return record.fields.filter(({ reason }) => reason).map(({ name, reason }) => `${name}: ${reason}`).join("; ");
}

/** What a record says in the list: its text, or its fields' values. */
function summary(record) {
  const values = record.fields.filter(({ valid, value }) => valid && value != null);
  if (!values.length) {
    const text = record.fields.length ? "no value" : record.text || "no digits";
    const kind = record.fields.length || !record.text ? " nothing" : record.lines.length > MANY_LINES ? " many" : "";
    return element("span", { text, className: `what${kind}` });
  }
  const named = record.fields.length > 1;
  return element("span", { className: "what" }, ...values.map(({ name, value }) => (
    element("span", {}, ...(named ? [element("i", { text: name })] : []), value)
  )));
}

export class History {
  /** onChoose: called with the record that was tapped. */
  constructor({ onChoose }) {
    this._onChoose = onChoose;
    this._plot = new Plot();
    this._records = []; // newest first
    this._items = new Map(); // by the record's id
    this._corrected = new Map(); // what to say of a reading that was corrected, by its sequence
    this._next = null;
    this._limit = FIRST;
    this._choice = null;
    byId("older").addEventListener("click", () => this._more());
    byId("series").addEventListener("change", (event) => {
      this._choice = event.target.value;
      this._drawPlot();
    });
  }

  /** Asks for the newest readings; raises what `get` does. */
  async refresh() {
    const { readings, corrections, next } = await get("/api/readings", { limit: PAGE });
    this._note(corrections);
    const oldest = readings.at(-1)?.sequence ?? 0;
    const kept = this._records.filter(({ sequence }) => sequence < oldest);
    const joined = kept.length > 0 && kept[0].id.split("-")[0] === readings[0]?.id.split("-")[0];
    if (!joined) this._next = next;
    this._show(joined ? [...readings, ...kept] : readings);
  }

  /** What people said stands there instead: those readings are shown anew. */
  _note(corrections = {}) {
    for (const [sequence, said] of Object.entries(corrections)) {
      const last = new Map(said.map(({ field, text }) => [field, field ? `${field} = ${text}` : text]));
      const text = `corrected: ${[...last.values()].join(", ").replaceAll("\n", " / ")}`;
      if (this._corrected.get(Number(sequence)) === text) continue;
      this._corrected.set(Number(sequence), text);
      for (const [id, item] of this._items) {
        if (item.dataset.sequence !== sequence) continue;
        item.remove();
        this._items.delete(id);
      }
    }
  }

  async _more() {
    const button = byId("older");
    this._limit += PAGE;
    if (this._records.length >= this._limit || this._next === null) return this._show(this._records);
    button.disabled = true;
    try {
      const { readings, corrections, next } = await get("/api/readings", { limit: PAGE, before: this._next });
      this._note(corrections);
      this._next = next;
      this._show([...this._records, ...readings]);
    } catch {
      // The banner says that there is no connection; the button can be pressed again.
    } finally {
      button.disabled = false;
    }
  }

  _show(records) {
    this._records = records;
    const list = byId("history");
    const before = this._items;
    const shown = records.slice(0, this._limit);
    this._items = new Map(shown.map((record) => [record.id, before.get(record.id) ?? this._item(record)]));
    const wanted = [...this._items.values()];
    for (const [id, item] of before) if (!this._items.has(id)) item.remove();
    wanted.forEach((item, index) => {
      if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
    });
    byId("history-empty").hidden = records.length > 0;
    byId("older").hidden = this._next === null && records.length <= this._limit;
    this._showChoices();
    this._drawPlot();
  }

  _item(record) {
    const unchanged = record.event === "heartbeat";
    const time = element("span", { text: `${unchanged ? "unchanged, " : ""}${when(record)}`, className: "when" });
    const button = element("button", { type: "button", title: "Correct this reading" }, summary(record), time);
    const why = reasons(record);
    if (why) button.append(element("span", { text: why, className: "why" }));
    const corrected = this._corrected.get(record.sequence);
    if (corrected) button.append(element("span", { text: corrected, className: "corrected" }));
    button.addEventListener("click", () => this._onChoose(record));
    return element("li", { className: unchanged ? "heartbeat" : "", "data-sequence": record.sequence }, button);
  }

  _showChoices() {
    const fields = [...new Set(this._records.flatMap((record) => record.fields.map(({ name }) => name)))];
    const lines = Math.max(0, ...this._records.map((record) => record.lines.length));
    const choices = fields.map((name) => [`field:${name}`, name]);
    if (!fields.length && lines > 1) {
      for (let line = 0; line < lines; line += 1) choices.push([`line:${line}`, `line ${line + 1}`]);
    }
    if (!choices.length) choices.push([WHOLE, "the text"]);
    const select = byId("series");
    const same = choices.map(([value]) => value).join("\n");
    if (same !== this._choices) {
      this._choices = same;
      select.replaceChildren(...choices.map(([value, text]) => element("option", { value, text })));
      if (!choices.some(([value]) => value === this._choice)) this._choice = choices[0][0];
      select.value = this._choice;
    }
    select.parentElement.hidden = choices.length < 2;
  }

  _drawPlot() {
    const points = this._records.toReversed().map((record) => {
      const shown = valueOf(record, this._choice);
      return { record, number: numberOf(shown), shown };
    });
    const name = byId("series").selectedOptions[0]?.textContent ?? "Values";
    this._plot.show(points, name);
  }
}

// Reading a picture of your own: dropped anywhere on the page, or chosen.

import { sendPicture } from "./api.js";
import { drawDigits, drawFields, layer } from "./overlay.js";
import { fieldRows } from "./reading.js";
import { byId, say } from "./words.js";

export class Upload {
  constructor() {
    this._picture = byId("upload-picture");
    this._stage = this._picture.parentElement;
    this._fields = layer(byId("upload-overlay"), "fields-layer");
    this._digits = layer(byId("upload-overlay"), "digits-layer");
    this._record = null;
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this._read(target.files[0]);
      target.value = ""; // the same picture can be chosen again
    });
    this._takeDrops();
    new ResizeObserver(() => this._draw()).observe(this._stage);
  }

  _takeDrops() {
    let depth = 0; // of elements entered while dragging
    const ofFiles = (event) => event.dataTransfer?.types.includes("Files");
    const over = (change) => {
      depth = Math.max(0, depth + change);
      document.body.classList.toggle("dragging", depth > 0);
    };
    addEventListener("dragenter", (event) => ofFiles(event) && over(1));
    addEventListener("dragleave", (event) => ofFiles(event) && over(-1));
    addEventListener("dragover", (event) => ofFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!ofFiles(event)) return;
      event.preventDefault();
      over(-depth);
      if (event.dataTransfer.files.length) this._read(event.dataTransfer.files[0]);
    });
  }

  async _read(file) {
    const turn = (this._turn = (this._turn ?? 0) + 1);
    byId("upload").scrollIntoView({ block: "nearest" });
    say(byId("upload-error"), "");
    say(byId("upload-words"), `Reading ${file.name} …`);
    byId("upload-result").hidden = true;
    try {
      const record = await sendPicture(byId("with-fields").checked ? "/api/read?fields=1" : "/api/read", file);
      if (turn === this._turn) await this._show(file, record);
    } catch (error) {
      if (turn === this._turn) say(byId("upload-error"), error.message);
    } finally {
      if (turn === this._turn) say(byId("upload-words"), "");
    }
  }

  async _show(file, record) {
    if (this._picture.src) URL.revokeObjectURL(this._picture.src);
    this._record = record;
    this._picture.src = URL.createObjectURL(file);
    byId("upload-text").textContent = record.text || "No digits found";
    byId("upload-fields").replaceChildren(...fieldRows(record.fields));
    byId("upload-record").textContent = JSON.stringify(record, null, 2);
    this._stage.style.aspectRatio = `${record.width} / ${record.height}`;
    this._stage.style.maxWidth = `calc(72vh * ${record.width / record.height})`;
    byId("upload-result").hidden = false;
    byId("upload-result").scrollIntoView({ block: "nearest" });
    this._draw();
  }

  _draw() {
    if (!this._record) return;
    const extent = { width: this._stage.clientWidth, height: this._stage.clientHeight };
    const scale = extent.width / this._record.width;
    drawDigits(this._digits, this._record.digits, scale, extent);
    drawFields(this._fields, this._record.fields, scale, extent);
  }
}

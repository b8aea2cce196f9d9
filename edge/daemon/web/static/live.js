// The live picture: what the daemon sees now, what it reads in it, and how sharp it is.

import { ApiError, ConnectionLost, get, getBlob } from "./api.js";
import { drawDigits, drawFields, layer } from "./overlay.js";
import { byId, duration, setText } from "./words.js";

const WAIT_SECONDS = 8; // a long poll; below the time after which a request counts as lost
const RETRY_MS = 1000, RETRY_LONGEST_MS = 5000;
const WIDTH_STEP = 320; // pixels: few widths, so that the daemon can keep the pictures it made
const BEST_MS = 10_000; // the best sharpness of so long is shown
const OLD_MS = 5000; // a picture that is older says so
const NEARLY = 0.97; // of the best: as sharp as it gets

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves once the page can be seen: nobody watches a hidden one. */
function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", function shown() {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", shown);
      resolve();
    });
  });
}

export class LiveView {
  /** editor: draws the fields while they are edited. onFrame: called with each answer of /api/live. */
  constructor({ editor, onFrame }) {
    this._editor = editor;
    this._onFrame = onFrame;
    this._picture = byId("picture");
    this._overlay = byId("overlay");
    this._stage = byId("stage");
    this._fields = layer(this._overlay, "fields-layer");
    this._digits = layer(this._overlay, "digits-layer");
    editor.mount(this._overlay);
    this._seen = null;
    this._sharpest = [];
    new ResizeObserver(() => this._draw()).observe(this._stage);
    setInterval(() => this._showAge(), 1000);
  }

  /** Follows the daemon for as long as the page is open. */
  async follow() {
    let after = 0, retry = RETRY_MS;
    for (;;) {
      await visible();
      try {
        const seen = await get("/api/live", { after, wait: WAIT_SECONDS });
        retry = RETRY_MS;
        this._stage.classList.remove("stale");
        if (!seen || seen.number == null || seen.number === after) {
          this._onFrame(seen);
          await pause(RETRY_MS); // also where too many wait, and all are answered at once
          continue;
        }
        after = seen.number;
        await this._show(seen);
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof ConnectionLost)) console.error(error);
        this._stage.classList.add("stale");
        after = 0; // a daemon that starts again counts from the start
        await pause(retry);
        retry = Math.min(2 * retry, RETRY_LONGEST_MS);
      }
    }
  }

  async _show(seen) {
    const wanted = this._stage.clientWidth * Math.min(devicePixelRatio, 2);
    const width = Math.max(WIDTH_STEP, Math.min(seen.width, Math.ceil(wanted / WIDTH_STEP) * WIDTH_STEP));
    const address = URL.createObjectURL(await getBlob("/api/frame.jpg", { number: seen.number, width }));
    const before = this._picture.src;
    try {
      const next = new Image();
      next.src = address;
      await next.decode();
      this._picture.src = address;
      await this._picture.decode();
    } catch {
      return; // not a picture: the next one will be
    } finally {
      if (before) URL.revokeObjectURL(before);
    }
    this._seen = seen;
    this._shownAt = performance.now();
    this._picture.hidden = false;
    byId("stage-words").hidden = true;
    this._stage.style.aspectRatio = `${seen.width} / ${seen.height}`;
    this._stage.style.maxWidth = `calc(72vh * ${seen.width / seen.height})`;
    this._draw();
    this._showSharpness(seen.sharpness);
    setText(byId("seen-text"), seen.text || "no digits");
    this._showAge();
    this._onFrame(seen);
  }

  _showAge() {
    if (!this._seen) return;
    const age = performance.now() - this._shownAt, { fps } = this._seen;
    const old = age >= OLD_MS;
    byId("rate").classList.toggle("old", old);
    const rate = fps == null ? "" : `${fps.toFixed(1)} frames/s`;
    setText(byId("rate"), old ? `no new picture for ${duration(age / 1000)}` : rate);
  }

  _draw() {
    const seen = this._seen;
    if (!seen) return;
    const extent = { width: this._stage.clientWidth, height: this._stage.clientHeight };
    const scale = extent.width / seen.width;
    drawDigits(this._digits, seen.digits, scale, extent);
    drawFields(this._fields, this._editor.editing ? [] : seen.fields, scale, extent);
    this._editor.draw(extent);
  }

  /** Draws again what is shown. */
  refresh() {
    this._draw();
  }

  _showSharpness(sharpness) {
    if (sharpness == null) return;
    const now = performance.now();
    this._sharpest = this._sharpest.filter(({ at }) => now - at < BEST_MS);
    this._sharpest.push({ at: now, sharpness });
    const best = Math.max(...this._sharpest.map((one) => one.sharpness));
    const meter = byId("sharpness");
    const [now100, best100] = [sharpness, best].map((part) => Math.round(100 * part));
    meter.setAttribute("aria-valuenow", now100);
    meter.setAttribute("aria-valuetext", `${now100} of 100, best ${best100}`);
    meter.querySelector(".meter-fill").style.width = `${100 * sharpness}%`;
    meter.querySelector(".meter-best").style.left = `${100 * best}%`;
    setText(byId("sharpness-words"), `${now100} · best ${best100}${sharpness >= NEARLY * best ? " ✓" : ""}`);
  }
}

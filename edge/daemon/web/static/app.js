// The page: wires its parts together and keeps them fresh.

import { needsLogin, onConnection, send } from "./api.js";
import { Correction } from "./correct.js";
import { FieldEditor } from "./editor.js";
import { refreshHealth } from "./health.js";
import { History } from "./history.js";
import { LiveView } from "./live.js";
import { CurrentReading } from "./reading.js";
import { Upload } from "./upload.js";
import { announce, byId, say, setText } from "./words.js";

const LATEST_MS = 2000; // between two looks for a new record
const HEALTH_MS = 5000;
const FIELDS_MS = 30_000; // someone else may have saved other fields

const correction = new Correction({ onCorrected: () => history.refresh().catch(() => {}) });
const history = new History({ onChoose: (record) => correction.open(record) });
const editor = new FieldEditor({
  onChange: () => {
    live?.refresh();
    reading?.showFields();
    byId("with-fields-label").hidden = !editor.units.size;
  },
});
const reading = new CurrentReading({
  onRecord: () => history.refresh().catch(() => {}),
  unitsOf: () => editor.units,
});
const live = new LiveView({
  editor,
  onFrame: (seen) => seen && reading.showVerdict(seen.verdict),
});
new Upload();
live.follow();

/** Calls an asynchronous refresh now and every so often, one at a time, while the page can be seen. */
function every(ms, refresh) {
  let busy = false;
  const once = async () => {
    if (busy || document.hidden) return;
    busy = true;
    await refresh().catch(() => {}); // the banner tells of a lost connection; the next turn tries again
    busy = false;
  };
  once();
  setInterval(once, ms);
  document.addEventListener("visibilitychange", once);
  return once;
}

const refreshes = [
  every(LATEST_MS, () => reading.refresh()),
  every(HEALTH_MS, refreshHealth),
  every(FIELDS_MS, () => editor.refresh()),
];

onConnection((connected) => {
  say(byId("connection"), connected ? "" : "No connection to the device, trying again …");
  document.body.classList.toggle("lost", !connected);
  if (!connected) {
    byId("status").dataset.state = "lost";
    setText(byId("status-words"), "No connection");
    return;
  }
  for (const refresh of refreshes) refresh();
  history.refresh().catch(() => {});
});

needsLogin().then((needed) => { byId("logout").hidden = !needed; }).catch(() => {});
byId("logout").addEventListener("click", async () => {
  try {
    await send("POST", "/api/logout");
    location.assign("/login");
  } catch (error) {
    announce(error.message);
  }
});

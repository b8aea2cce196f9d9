// How each part of the device is doing, in plain words.

import { getHealth } from "./api.js";
import { bytes, byId, duration, element, setText } from "./words.js";

// In the order in which they are shown.
const NAMES = {
  source: "Camera",
  store: "Database",
  mqtt: "MQTT broker",
  webhook: "Webhook",
  stdout: "Output",
  reading: "Reading",
  http: "Web page",
  button: "Button",
};
const place = (name) => (name in NAMES ? Object.keys(NAMES).indexOf(name) : Object.keys(NAMES).length);
const STATES = { working: "working", waiting: "waiting", failed: "not working" };
const OVERALL = { ok: "All is well", degraded: "Needs a look", failed: "Not working" };
const HOT = 80; // °C: a Raspberry Pi slows down from here on
const LITTLE_DISK = 100e6; // bytes
const SINCE_START = " since the start";
const THROTTLED = {
  "under-voltage": "The power supply is too weak",
  "frequency capped": "The processor is held at a lower speed",
  throttled: "The processor is slowed down",
  "soft temperature limit": "The processor is slowed down to stay cool",
};

/** Shows what GET /api/health says. */
export function showHealth(health) {
  const status = byId("status");
  status.dataset.state = health.status;
  setText(byId("status-words"), OVERALL[health.status] ?? health.status);
  if (health.name) {
    setText(byId("device"), health.name);
    document.title = `${health.name} – Edge Digits`;
  }
  const parts = Object.entries(health.parts ?? {}).sort(([one], [other]) => place(one) - place(other));
  byId("parts").replaceChildren(...parts.map(part));
  byId("device-facts").replaceChildren(...facts(health).flatMap(([name, value, bad]) => [
    element("dt", { text: name }),
    element("dd", { text: value, className: bad ? "bad" : "" }),
  ]));
}

function part([name, { state, reason, since_seconds: since }]) {
  const words = STATES[state] ?? state;
  const row = element("li", { "data-part": name, "data-state": state }, element("span", { text: NAMES[name] ?? name }));
  row.append(element("span", { text: since == null ? words : `${words} for ${duration(since)}`, className: "since" }));
  if (reason) row.append(element("span", { text: reason, className: "why" }));
  return row;
}

function facts({ device = {}, frames = {}, backlog = {}, uptime_seconds: uptime, version }) {
  const { temperature_c: temperature, disk_free_bytes: free, memory_bytes: memory } = device;
  const known = [];
  if (device.under_voltage) known.push(["Power", "The supply is too weak (under-voltage)", true]);
  else if (device.under_voltage === false) known.push(["Power", "good", false]);
  for (const flag of device.throttled ?? []) {
    const now = flag.replace(SINCE_START, "");
    if (now === flag && now !== "under-voltage") known.push(["Processor", THROTTLED[now] ?? now, true]);
    else if (now !== flag) known.push(["Since the start", THROTTLED[now] ?? now, false]);
  }
  if (temperature != null) known.push(["Temperature", `${temperature.toFixed(0)} °C`, temperature >= HOT]);
  if (free != null) known.push(["Free disk space", bytes(free), free < LITTLE_DISK]);
  if (memory != null) known.push(["Memory in use", bytes(memory), false]);
  if (frames.fps != null) known.push(["The camera gives", `${frames.fps.toFixed(1)} frames/s`, false]);
  if (frames.read != null) known.push(["Frames read", frames.read.toLocaleString("en"), false]);
  if (frames.dropped) known.push(["Frames skipped", frames.dropped.toLocaleString("en"), false]);
  for (const [name, count] of Object.entries(backlog)) {
    if (count) known.push([`Waiting for ${NAMES[name] ?? name}`, `${count.toLocaleString("en")} readings`, false]);
  }
  if (uptime != null) known.push(["Running for", duration(uptime), false]);
  if (version) known.push(["Version", version, false]);
  return known;
}

/** Asks for the health and shows it; raises what `get` does. */
export async function refreshHealth() {
  showHealth(await getHealth());
}

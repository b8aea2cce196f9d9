// Numbers and times in words, and small helpers for the page.

const MINUTE = 60, HOUR = 3600, DAY = 86_400;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TOAST_MS = 4000;

export const byId = (id) => document.getElementById(id);

/** An element with its class, text and attributes. */
export function element(tag, { className = "", text = null, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Sets a text only where it is another, so that a screen reader speaks it once. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Shows a line, or hides its element where there is nothing to say. */
export function say(target, text) {
  setText(target, text ?? "");
  target.hidden = !text;
}

let toastTimer;

/** A short word at the foot of the page. */
export function announce(text) {
  say(byId("announce"), text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => say(byId("announce"), ""), TOAST_MS);
}

/** 75 → "1 min". */
export function duration(seconds) {
  if (seconds < MINUTE) return `${Math.max(0, Math.floor(seconds))} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.floor(seconds / HOUR)} h`;
  return `${Math.floor(seconds / DAY)} days`;
}

/** Of a record or of a frame, whose times are ISO 8601 or seconds since 1970: a Date, null while there is no clock. */
export function dateOf(time) {
  if (time == null) return null;
  return new Date(typeof time === "number" ? time * 1000 : time);
}

const two = (number) => String(number).padStart(2, "0");

/** "10:00:05" today, "24 Nov 10:00" on another day. */
export function clockTime(date, now = new Date()) {
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (date.toDateString() === now.toDateString()) return `${time}:${two(date.getSeconds())}`;
  const day = `${date.getDate()} ${MONTHS[date.getMonth()]}`;
  return date.getFullYear() === now.getFullYear() ? `${day} ${time}` : `${day} ${date.getFullYear()}`;
}

/** When a record was made, in words. */
export function when(record) {
  const date = dateOf(record.time);
  return date ? clockTime(date) : `no. ${record.sequence}`;
}

/** 1500000000 → "1.5 GB". */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${count >= 100 || unit === 0 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

/** A line of the daemon as a sentence. */
export const sentence = (line) => line.charAt(0).toUpperCase() + line.slice(1);

/** 0.987 → "98 %"; rounded down, so that 100 % is certainty. */
export const percent = (part) => `${Math.floor(part * 100)} %`;

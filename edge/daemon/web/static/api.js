// Requests to the daemon. Every module asks through here, so that one place knows whether it is there.

import { sentence } from "./words.js";

const TIMEOUT_MS = 15_000;
const READ_TIMEOUT_MS = 60_000; // a large picture on a slow device
const HEADERS = { "X-Requested-With": "edge-digits" }; // what a page of another site cannot send

/** An answer of the daemon that is no success; its message is the daemon's own line. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The daemon did not answer. */
export class ConnectionLost extends Error {
  constructor() {
    super("No connection to the device. Try again in a moment.");
  }
}

let connected = null;
const watchers = [];

/** Calls back with true or false whenever the daemon comes or goes. */
export function onConnection(watcher) {
  watchers.push(watcher);
}

function setConnected(now) {
  if (now === connected) return;
  connected = now;
  for (const watcher of watchers) watcher(now);
}

async function request(path, options = {}, timeout = TIMEOUT_MS, fine = []) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(timeout), ...options });
  } catch {
    setConnected(false);
    throw new ConnectionLost();
  }
  if (response.status === 401) {
    location.assign("/login");
    throw new ApiError("Please log in.", 401);
  }
  if (response.status === 502 || response.status === 504) { // a proxy whose daemon is gone
    setConnected(false);
    throw new ConnectionLost();
  }
  setConnected(true);
  if (response.ok || fine.includes(response.status)) return response;
  throw new ApiError(await said(response), response.status);
}

async function said(response) {
  try {
    const { error } = await response.json();
    if (error) return sentence(error);
  } catch {
    // Not JSON: something between here and the daemon spoke.
  }
  return `The device answered ${response.status}.`;
}

async function parsed(response) {
  try {
    return await response.json();
  } catch {
    setConnected(false); // it went away in the middle of its answer
    throw new ConnectionLost();
  }
}

/** GET of the health: a daemon that is not well says so with a status of its own. */
export async function getHealth() {
  return parsed(await request("/api/health", {}, TIMEOUT_MS, [200, 503]));
}

/** Whether this device wants a token; without one there is no logging out. */
export async function needsLogin() {
  const { type } = await fetch("/login", { method: "HEAD", redirect: "manual" });
  return type !== "opaqueredirect";
}

/** GET as JSON. `parameters`: those that are null or undefined are left out. */
export async function get(path, parameters = {}, timeout = TIMEOUT_MS) {
  const given = Object.entries(parameters).filter(([, value]) => value != null);
  const query = new URLSearchParams(given).toString();
  return parsed(await request(query ? `${path}?${query}` : path, {}, timeout));
}

/** GET as a Blob. */
export async function getBlob(path, parameters) {
  const response = await request(`${path}?${new URLSearchParams(parameters)}`);
  try {
    return await response.blob();
  } catch {
    setConnected(false);
    throw new ConnectionLost();
  }
}

/** POST or PUT of JSON; the answer as JSON, null where it is empty. */
export async function send(method, path, body = {}) {
  const headers = { ...HEADERS, "Content-Type": "application/json" };
  const response = await request(path, { method, headers, body: JSON.stringify(body) }, READ_TIMEOUT_MS);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** POST of a picture; its record. */
export async function sendPicture(path, file) {
  const headers = { ...HEADERS, "Content-Type": file.type || "application/octet-stream" };
  return parsed(await request(path, { method: "POST", headers, body: file }, READ_TIMEOUT_MS));
}

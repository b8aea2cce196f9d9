// Logging in with the token; without JavaScript the form is sent as it is.

import { byId, say, sentence } from "./words.js";

if (new URLSearchParams(location.search).has("once")) {
  say(byId("login-error"), "This link was used or is too old. Log in with the token.");
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter ?? event.target.querySelector("button");
  button.disabled = true;
  say(byId("login-error"), "");
  try {
    const response = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Requested-With": "edge-digits" },
      body: JSON.stringify({ token: byId("token").value }),
    });
    if (response.ok) {
      location.assign("/");
      return;
    }
    const { error } = await response.json().catch(() => ({}));
    say(byId("login-error"), error ? sentence(error) : `The device answered ${response.status}.`);
    byId("token").select();
  } catch {
    say(byId("login-error"), "No connection to the device. Try again in a moment.");
  }
  button.disabled = false;
});

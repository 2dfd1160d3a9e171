// What every page needs to change something in the name of who is signed in, and to sign out.
"use strict";

// Headers of every change: JSON, and the CSRF token of the session, which only pages of this service can read.
function changeHeaders() {
  const found = document.cookie.match(/(?:^|; )mstar_csrf=([0-9a-f]{64})/);
  return { "Content-Type": "application/json", ...(found ? { "X-CSRF-Token": found[1] } : {}) };
}

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("sign-out");
  if (!button || !("X-CSRF-Token" in changeHeaders())) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await fetch("/v1/session/sign-out", { method: "POST", headers: changeHeaders(), body: "{}" });
    location.assign("/sign-in");
  });
});

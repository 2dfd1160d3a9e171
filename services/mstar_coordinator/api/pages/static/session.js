// What every page needs to change something in the name of who is signed in, and to sign out.
"use strict";
const ENDED = "Your session has ended: sign in again in another tab, then try once more. What you typed stays here.";

// Headers of every change: JSON, and the CSRF token of the session, which only pages of this service can read.
function changeHeaders() {
  const found = document.cookie.match(/(?:^|; )mstar_csrf=([0-9a-f]{64})/);
  return { "Content-Type": "application/json", ...(found ? { "X-CSRF-Token": found[1] } : {}) };
}

// The page that asks for a key, says why, and leads back here. The browser forgets a cookie whose time is over.
function signInAgain() {
  return `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}&ended=true`;
}

// Asks for a change: whether it was made, and what the service says. Nobody is left waiting for one that is away.
async function askFor(method, path, body) {
  try {
    const answer = await fetch(path, { method, headers: changeHeaders(), body });
    // Nobody is led away from what they have typed.
    if (answer.status === 401) return { ok: false, body: { detail: ENDED } };
    return { ok: answer.ok, body: await answer.json() };
  } catch {
    return { ok: false, body: { detail: "The coordinator does not answer. Try again." } };
  }
}

// Does what a form is for, one at a time: the second half of a double click would ask for it again.
// `act` resolves to true where the page is being left.
function onSubmit(form, act) {
  const button = form.querySelector("[type=submit]");
  const barred = button.disabled;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    try {
      button.disabled = await act();
    } catch (error) {
      button.disabled = false;
      throw error;
    }
  });
  // The browser's way back shows the page as it was left.
  addEventListener("pageshow", () => (button.disabled = barred));
}

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("sign-out");
  if (!button || !("X-CSRF-Token" in changeHeaders())) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const { ok, body } = await askFor("POST", "/v1/session/sign-out", "{}");
    // A session that has ended already is what was asked for.
    if (ok || body.detail === ENDED) location.assign("/sign-in");
    else button.textContent = `Not signed out. ${body.detail}`;
  });
});

// Trades a key for a session cookie, then goes on to the page that was asked for.
"use strict";
const form = document.getElementById("sign-in");
const said = document.getElementById("said");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  said.textContent = "";
  try {
    const answer = await fetch("/v1/session/sign-in", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: form.key.value }),
    });
    const found = await answer.json();
    // A key that only scores sees no other page.
    if (answer.ok) location.assign(found.roles.some((role) => ["read", "run_admin"].includes(role)) ? form.dataset.next : "/scoring");
    else said.textContent = found.detail;
  } catch {
    said.textContent = "The coordinator does not answer. Try again.";
  }
});

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
    if (answer.ok) location.assign(form.dataset.next);
    else said.textContent = (await answer.json()).detail;
  } catch {
    said.textContent = "The coordinator does not answer. Try again.";
  }
});

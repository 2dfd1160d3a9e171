// Sends what was changed in the form as overrides of its recipe, and puts a refusal at the field that it names.
"use strict";
const form = document.getElementById("recipe");
const said = document.getElementById("said");

function changed() {
  const overrides = {};
  for (const input of form.querySelectorAll("[data-was]")) {
    const text = input.value;
    let value = text;
    if (input.dataset.kind === "json") {
      try {
        value = JSON.parse(text);
      } catch {
        throw Object.assign(new Error(`write a JSON value, such as ${input.dataset.was}`), { field: input.name });
      }
    }
    if (JSON.stringify(value) !== JSON.stringify(JSON.parse(input.dataset.was))) overrides[input.name] = value;
  }
  return overrides;
}

function refuse(field, text) {
  const input = [...form.querySelectorAll("[data-was]")].find((one) => field === one.name || field?.endsWith(`.${one.name}`));
  said.textContent = input ? "Not started: see the field that is marked." : `Not started: ${text}`;
  if (!input) return;
  const note = input.closest(".field").querySelector(".wrong");
  note.textContent = text;
  note.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.closest("details").open = true;
  input.focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  for (const note of form.querySelectorAll(".wrong")) note.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  let overrides;
  try {
    overrides = changed();
  } catch (error) {
    return refuse(error.field, error.message);
  }
  said.textContent = "Checking…";
  const answer = await fetch("/v1/runs", {
    method: "POST",
    headers: changeHeaders(),
    body: JSON.stringify({ recipe: JSON.parse(form.dataset.base), overrides }),
  });
  const body = await answer.json();
  if (answer.ok) location.assign(`/runs/${body.id}`);
  else refuse(body.field, body.detail);
});

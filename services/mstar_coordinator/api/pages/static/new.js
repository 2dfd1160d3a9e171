// Sends what was changed in the form as overrides of its recipe, and puts a refusal at the field that it names.
"use strict";
const form = document.getElementById("recipe");
const said = document.getElementById("said");

function valueOf(input) {
  const { kind, wanted } = input.dataset;
  // A field of numbers that holds something else has no text.
  if (input.value === "" && "optional" in input.dataset && !input.validity.badInput) return null;
  if (kind !== "json") return input.value;
  try {
    return JSON.parse(input.value);
  } catch {
    throw Object.assign(new Error(`write ${wanted}`), { field: input.name });
  }
}

function changed() {
  const overrides = {};
  for (const input of form.querySelectorAll("[data-was]")) {
    const value = valueOf(input);
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

onSubmit(form, async () => {
  for (const note of form.querySelectorAll(".wrong")) note.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  let overrides;
  try {
    overrides = changed();
  } catch (error) {
    if (!error.field) throw error;
    refuse(error.field, error.message);
    return false;
  }
  said.textContent = "Checking…";
  const asked = JSON.stringify({ recipe: JSON.parse(form.dataset.base), overrides });
  const { ok, body } = await askFor("POST", "/v1/runs", asked);
  if (ok) location.assign(`/runs/${body.id}`);
  else refuse(body.field, body.detail);
  return ok;
});

// Keys of the page of responses, and addresses without the fields that nobody filled in.
"use strict";
const samples = [...document.querySelectorAll(".sample")];
const keys = document.getElementById("keys");
const form = document.getElementById("filters");

function current() {
  return samples.indexOf(document.activeElement?.closest(".sample"));
}

function go(step) {
  const next = samples[Math.min(samples.length - 1, Math.max(0, current() + step))];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "start" });
}

const actions = {
  j: () => go(1),
  k: () => go(-1),
  o: () => {
    const others = samples[current()]?.querySelector("details");
    if (others) others.open = !others.open;
  },
  n: () => document.querySelector('a[rel="next"]')?.click(),
  "/": () => form.elements.text.focus(),
  "?": () => keys.showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
});

form.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (value === "" || (name === "sort" && value === "place")) event.formData.delete(name);
  }
});

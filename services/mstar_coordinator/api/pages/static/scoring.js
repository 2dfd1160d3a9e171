// Sends an image, a question and responses to /v1/score and shows the answer; what comes back is text, never HTML.
"use strict";
const form = document.getElementById("score");
const said = document.getElementById("said");
const drop = document.getElementById("drop");
const responses = document.getElementById("responses");
const ranking = document.getElementById("ranking");
const KINDS = ["image/png", "image/jpeg", "image/webp"];
const LARGEST = 20_000_000; // bytes of a file: its base64 must fit in a request
const HEADING = "## Answer";
let images = []; // { name, data }: base64 without the head of its URL

function refuse(place, text) {
  const note = place instanceof Element ? place.querySelector(".wrong") : document.getElementById(`w-${place}`);
  note.textContent = text;
  note.hidden = false;
  const input = place instanceof Element ? place.querySelector("textarea") : { images: form.files, question: form.question }[place];
  input?.setAttribute("aria-invalid", "true");
  input?.focus();
}

function clear() {
  for (const note of form.querySelectorAll(".wrong")) note.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  said.textContent = "";
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}

async function take(files) {
  clear();
  for (const file of files) {
    if (!KINDS.includes(file.type)) return refuse("images", `${file.name} is not a PNG, JPEG or WebP file.`);
    if (file.size > LARGEST) return refuse("images", `${file.name} has ${file.size.toLocaleString("en")} bytes; 20,000,000 can be sent.`);
    if (images.length >= Number(form.dataset.images)) return refuse("images", `A question has at most ${form.dataset.images} images.`);
    const url = await read(file);
    images.push({ name: file.name, data: url.slice(url.indexOf(",") + 1), url });
  }
  show();
}

function show() {
  document.getElementById("shown").replaceChildren(
    ...images.map((image, place) => {
      const box = document.createElement("figure");
      const picture = Object.assign(document.createElement("img"), { src: image.url, alt: `image ${place + 1}: ${image.name}` });
      const away = Object.assign(document.createElement("button"), { type: "button", textContent: `Remove ${image.name}` });
      away.addEventListener("click", () => {
        images = images.filter((one) => one !== image);
        show();
      });
      box.append(picture, away);
      return box;
    }),
  );
}

form.files.addEventListener("change", async () => {
  await take(form.files.files);
  form.files.value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) take(event.dataTransfer.files);
  else refuse("images", "That is an address and not a file: save the image, then drop the file.");
});
// Beside the field a browser would leave this page for the file, and what was typed would be gone.
for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => {
    if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) take(event.clipboardData.files);
});

function add() {
  const place = responses.children.length + 1;
  responses.append(document.getElementById("response").content.cloneNode(true));
  const field = responses.lastElementChild;
  field.querySelector("label").textContent = `Response ${place}`;
  field.querySelector("label").htmlFor = field.querySelector("textarea").id = `r-${place}`;
  return field;
}
document.getElementById("add").addEventListener("click", () => add().querySelector("textarea").focus());
add();
add();

// Typed escapes as the characters they stand for.
function separator() {
  return form.separator.value.replaceAll("\\n", "\n").replaceAll("\\t", "\t");
}

function candidate(text) {
  const between = separator();
  // The service cuts a text itself at what its model was trained with, or at a blank line, the answer's block included.
  if (between === "\n\n" || between === "") return { text };
  return { steps: text.split(between).map((step) => step.trim()).filter(Boolean) };
}

function build() {
  const question = form.question.value.trim();
  if (!question) throw Object.assign(new Error("Type the question that the responses answer."), { place: "question" });
  const filled = [...responses.children].filter((field) => field.querySelector("textarea").value.trim());
  if (!filled.length) throw Object.assign(new Error("Paste at least one response."), { place: responses.firstElementChild });
  const candidates = filled.map((field) => candidate(field.querySelector("textarea").value.trim()));
  const empty = candidates.findIndex((one) => one.steps?.length === 0);
  if (empty >= 0) throw Object.assign(new Error("It holds nothing but separators."), { place: filled[empty] });
  const request = {
    question,
    images: images.map((image) => ({ data: image.data })),
    responses: candidates,
    aggregate: form.aggregate.value,
    ...(separator() === "\n\n" ? { step_separator: "\n\n" } : {}),
  };
  return { request, filled };
}

function isAnswer(step) {
  return step.text.startsWith(HEADING);
}

// From orange over white to blue, as on the pages of responses.
function tint(score) {
  const strength = (Math.abs(score - 0.5) * 1.5).toFixed(2);
  return score >= 0.5 ? `rgba(0,114,178,${strength})` : `rgba(213,94,0,${strength})`;
}

function span(name, text) {
  return Object.assign(document.createElement("span"), { className: name, textContent: text });
}

function ranked(one, place) {
  const line = document.createElement("li");
  line.className = "response";
  line.append(span("badge", `response ${place}`), span("badge", one.error ? "not scored" : `score ${one.score.toFixed(2)}`));
  if (one.error) line.append(span("wrong", one.error.detail));
  // The answer has a score of its own, which is no step's and does not count.
  const least = Math.min(...one.steps.filter((step) => !isAnswer(step)).map((step) => step.score));
  for (const step of one.steps) {
    const lowest = !isAnswer(step) && step.score === least;
    const text = isAnswer(step) ? `answer: ${step.text.slice(HEADING.length).trim()}` : step.text;
    const shown = span(lowest ? "step least" : "step", text);
    shown.style.setProperty("--tint", tint(step.score));
    shown.append(span("score", step.score.toFixed(2)));
    line.append(shown);
  }
  return line;
}

function answer(reply, request, filled) {
  const places = filled.map((field) => [...responses.children].indexOf(field) + 1);
  const order = [...reply.results].sort((a, b) => Boolean(a.error) - Boolean(b.error) || b.score - a.score);
  document.getElementById("ranked").replaceChildren(...order.map((one) => ranked(one, places[one.index])));
  document.getElementById("version").textContent = `Scored by ${reply.model_version}.`;
  const names = images.map((image) => image.name);
  const url = `${location.origin}/v1/score`;
  document.getElementById("curl").textContent = asCurl(url, request, names);
  document.getElementById("python").textContent = asPython(url, request, names);
  ranking.hidden = false;
  ranking.focus();
}

function problem(reply, filled) {
  const [name, place] = (reply.field ?? "").split(".");
  if (name === "images" || name === "question") refuse(name, reply.detail);
  else if (name === "responses" && filled[place]) refuse(filled[place], reply.detail);
  else said.textContent = `Not scored: ${reply.detail}`;
}

onSubmit(form, async () => {
  clear();
  let built;
  try {
    built = build();
  } catch (error) {
    if (!error.place) throw error;
    refuse(error.place, error.message);
    return false;
  }
  said.textContent = "Scoring…";
  const { ok, body } = await askFor("POST", "/v1/score", JSON.stringify(built.request));
  said.textContent = "";
  if (ok) answer(body, built.request, built.filled);
  else problem(body, built.filled);
  return false;
});

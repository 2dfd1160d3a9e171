// Keeps a run's page current: an event of the run fetches its changing part again, at most once a second.
"use strict";
const now = document.getElementById("now");
const run = now.dataset.run;
const said = document.getElementById("said");
const AWAY = "The coordinator does not answer. What you see is from before.";
const STALE = "The coordinator cannot show this run now. What you see is from before.";
const GONE = "This run has been deleted. What you see is from before.";
const GOES_ON = ["running", "paused"];
const OVER = ["succeeded", "failed", "cancelled"];
const TYPES = [
  "run.cancelled", "run.extended", "run.failed", "run.freed", "run.held", "run.paused", "run.resumed", "run.succeeded",
  "run.warned", "step.changed", "step.committed", "step.failed", "step.retried", "artefact.damaged",
  "question.quarantined",
];
said.tabIndex = -1;
let waiting = null;
let stream = null;
let after = now.dataset.after;

function state() {
  return now.querySelector(".state").textContent;
}

function isOver() {
  return said.textContent === GONE || OVER.includes(state());
}

async function refresh() {
  waiting = null;
  const answer = await fetch(`/runs/${run}/now`).catch(() => null);
  // Who is no longer signed in is asked for a key, and comes back to this page.
  if (answer?.status === 401) return location.assign(signInAgain());
  if (answer?.ok) show(await answer.text());
  if (answer === null) said.textContent = AWAY;
  else if (answer.status === 404) said.textContent = GONE;
  else if (!answer.ok) said.textContent = STALE;
  else if ([AWAY, STALE, ...GOES_ON, ...OVER].includes(said.textContent) && said.textContent !== state()) said.textContent = "";
  listen();
}

function soon() {
  waiting ??= setTimeout(refresh, 1000);
}

// A run that has ended has no stream, one that was extended or resumed has it again, and so has one whose coordinator was
// away: an answer other than 200 closes a stream for good.
function listen() {
  if (isOver()) return stream?.close();
  if (stream && stream.readyState !== EventSource.CLOSED) return;
  stream = new EventSource(`/v1/runs/${run}/events?after=${after}`);
  stream.addEventListener("error", soon);
  for (const type of TYPES) {
    stream.addEventListener(type, (event) => {
      after = event.lastEventId;
      soon();
    });
  }
}

// Links and buttons are the same only where they do the same: nobody presses what has slipped under their finger.
function isSame(one, other) {
  if (one.nodeName !== other.nodeName) return false;
  return !one.matches?.("a, button") || (one.textContent === other.textContent && one.href === other.href);
}

// Makes a node's children like another's. What stays the same node keeps focus, selection and place of scrolling.
function fill(node, wanted) {
  const left = [...node.childNodes];
  for (const next of [...wanted.childNodes]) {
    const place = left.findIndex((one) => isSame(one, next));
    if (place < 0) {
      node.insertBefore(next, left[0] ?? null);
      continue;
    }
    for (const passed of left.splice(0, place)) passed.remove();
    become(left.shift(), next);
  }
  for (const rest of left) rest.remove();
}

function become(node, wanted) {
  if (node.isEqualNode(wanted)) return;
  if (node.nodeType !== Node.ELEMENT_NODE) {
    node.data = wanted.data;
    return;
  }
  for (const { name } of [...node.attributes]) if (!wanted.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  fill(node, wanted);
}

function show(html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  const inside = now.contains(document.activeElement);
  fill(now, made.content);
  // What had the focus is gone, such as Pause once the run is paused: the next Tab leads to what came for it.
  if (inside && !now.contains(document.activeElement)) said.focus();
}

// One change of this run; what it was refused for is said on the page.
async function change(method, path, body) {
  const { ok, body: told } = await askFor(method, `/v1/runs/${run}${path}`, body);
  said.textContent = ok ? told.state ?? "deleted" : told.detail;
  soon();
  return ok;
}

function tagged(text) {
  return change("PATCH", "", JSON.stringify({ tags: text.split(/[\s,]+/).filter(Boolean) }));
}

async function act(button) {
  const { action, sure, body, tags, tagsNow, delete: id } = button.dataset;
  if (sure && !confirm(sure)) return;
  if (action) change("POST", `/${action}`, body ?? "{}");
  if (tagsNow !== undefined) tagged(tagsNow);
  if (tags !== undefined) {
    const wanted = prompt("Tags of this run, separated by spaces", tags);
    if (wanted !== null) tagged(wanted);
  }
  if (id && prompt(`This deletes the run, its models, data sets and responses for good. Type ${id} to confirm.`) === id) {
    if (await change("DELETE", `?confirm=${id}`, undefined)) location.assign(now.dataset.list);
  }
}

// The buttons are part of what is fetched again, so the listener is on what holds them.
now.addEventListener("click", (event) => {
  if (event.target.matches("button")) act(event.target);
});

listen();
// Progress inside a step is no event.
setInterval(() => {
  if (!isOver()) soon();
}, 5000);
// Somebody may have extended or resumed it elsewhere.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && said.textContent !== GONE) soon();
});

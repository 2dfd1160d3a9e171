// Keeps a run's page current: an event of the run fetches its changing part again, at most once a second.
"use strict";
const now = document.getElementById("now");
const run = now.dataset.run;
const said = document.getElementById("said");
const AWAY = "The coordinator does not answer. What you see is from before.";
const STALE = "The coordinator cannot show this run now. What you see is from before.";
const GONE = "This run has been deleted. What you see is from before.";
let waiting = null;

async function refresh() {
  waiting = null;
  const answer = await fetch(`/runs/${run}/now`).catch(() => null);
  // Who is no longer signed in is asked for a key, and comes back to this page.
  if (answer?.status === 401) return location.assign(signInAgain());
  if (answer?.ok) now.innerHTML = await answer.text();
  if (answer === null) said.textContent = AWAY;
  else if (answer.status === 404) said.textContent = GONE;
  else if (!answer.ok) said.textContent = STALE;
  else if ([AWAY, STALE].includes(said.textContent)) said.textContent = "";
}

function soon() {
  waiting ??= setTimeout(refresh, 1000);
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

const TYPES = [
  "run.cancelled", "run.extended", "run.failed", "run.freed", "run.held", "run.paused", "run.resumed", "run.succeeded",
  "run.warned", "step.changed", "step.committed", "step.failed", "step.retried", "artefact.damaged",
  "question.quarantined",
];
// A stream that ends with its run opens again and finds nothing, so it is closed with the run.
const stream = new EventSource(`/v1/runs/${run}/events?after=${now.dataset.after}`);
// It is closed for good where the session has ended.
stream.addEventListener("error", soon);
for (const type of TYPES) stream.addEventListener(type, soon);
for (const type of ["run.cancelled", "run.failed", "run.succeeded"]) stream.addEventListener(type, () => stream.close());
// Progress inside a step is no event.
setInterval(() => {
  if (stream.readyState !== EventSource.CLOSED) soon();
}, 5000);

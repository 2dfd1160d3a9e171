// Keeps a run's page current: an event of the run fetches its changing part again, at most once a second.
"use strict";
const now = document.getElementById("now");
const run = now.dataset.run;
const said = document.getElementById("said");
let waiting = null;

async function refresh() {
  waiting = null;
  const answer = await fetch(`/runs/${run}/now`);
  if (answer.ok) now.innerHTML = await answer.text();
}

function soon() {
  waiting ??= setTimeout(refresh, 1000);
}

async function act(button) {
  if (button.dataset.sure && !confirm(button.dataset.sure)) return;
  const answer = await fetch(`/v1/runs/${run}/${button.dataset.action}`, {
    method: "POST",
    headers: changeHeaders(),
    body: "{}",
  });
  const body = await answer.json();
  said.textContent = answer.ok ? `${body.state}` : body.detail;
  soon();
}

// The buttons are part of what is fetched again, so the listener is on what holds them.
now.addEventListener("click", (event) => {
  if (event.target.dataset.action) act(event.target);
});

const TYPES = [
  "run.cancelled", "run.extended", "run.failed", "run.freed", "run.held", "run.paused", "run.resumed", "run.succeeded",
  "step.changed", "step.committed", "step.failed", "step.retried", "artefact.damaged", "question.quarantined",
];
// A stream that ends with its run opens again and finds nothing, so it is closed with the run.
const stream = new EventSource(`/v1/runs/${run}/events?after=${now.dataset.after}`);
for (const type of TYPES) stream.addEventListener(type, soon);
for (const type of ["run.cancelled", "run.failed", "run.succeeded"]) stream.addEventListener(type, () => stream.close());
// Progress inside a step is no event.
setInterval(() => {
  if (stream.readyState !== EventSource.CLOSED) soon();
}, 5000);

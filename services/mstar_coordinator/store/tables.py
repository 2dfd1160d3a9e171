"""The tables: runs, steps and what each needs, events, studies, batches, idempotency keys, keys and sessions.

Values that only travel (recipes, step parameters, results) are JSON text and are never queried. Every change of the
tables, or of what their JSON text holds, comes with a revision in `migrations/versions/`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    false,
)

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("error", Text),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("iterations", Integer, nullable=False),
    Column("recipe", Text, nullable=False),
    # Grows with every change that results.json shows; `written` is the revision that the file shows. A crash between
    # the two is made good after a restart.
    Column("revision", Integer, nullable=False),
    Column("written", Integer, nullable=False),
    Column("project", String(40), nullable=False, server_default="default"),
    # An evaluation is a run that trains nothing; lists of runs leave it out.
    Column("evaluation", Boolean, nullable=False, server_default=false()),
    Index("runs_by_project", "project", "id"),
)

steps = Table(
    "steps",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", String(120), nullable=False),
    Column("stage", String(120), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("queue", String(16), nullable=False),
    Column("spec", Text, nullable=False),
    Column("state", String(16), nullable=False),
    # Needs that are not done yet; kept in the same transaction as the commit that lowers it.
    Column("waiting", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", String(200)),
    Column("error", Text),
    Column("published_at", Float),
    Column("claimed_at", Float),
    # Grows with each heartbeat. Whether a lease has run out is measured by who watches it, never stored as a time.
    Column("renewals", Integer, nullable=False, server_default="0"),
    Column("done_at", Float),
    # The question that its worker said it begins, while it does them one at a time.
    Column("in_hand", String(200)),
    Column("units_done", Integer, nullable=False),
    Column("units_total", Integer, nullable=False),
    # Bytes of the GPUs that it is done on, as its worker last reported them.
    Column("gpu_used", BigInteger),
    Column("gpu_total", BigInteger),
    Column("artefact_id", String(500)),
    Column("artefact_sha256", String(64)),
    Column("result", Text),
    # Hash of what determines the output; set for runs of a study, which take over each other's steps by it.
    Column("key", String(64)),
    # What it left was removed on purpose, since nothing reads it any more: it is not lost.
    Column("removed", Boolean, nullable=False, server_default=false()),
    Index("steps_by_key", "key"),
    Index("steps_by_name", "run_id", "name", unique=True),
    Index("steps_by_position", "run_id", "position", unique=True),
    Index("steps_by_stage", "run_id", "stage"),
    # In the order in which due steps are handed out: the first few of thousands are found without sorting them.
    Index("steps_due", "state", "waiting", "queue", "run_id", "position"),
)

needs = Table(
    "step_needs",
    metadata,
    Column("step_id", ForeignKey("steps.id", ondelete="CASCADE"), nullable=False),
    Column("need_id", ForeignKey("steps.id"), nullable=False),
    # The step may run before this need is done, and takes its output when it comes.
    Column("streams", Boolean, nullable=False),
    PrimaryKeyConstraint("step_id", "need_id"),
    Index("needs_by_need", "need_id"),
)

events = Table(
    "events",
    metadata,
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("id", Integer, nullable=False, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("type", String(40), nullable=False),
    Column("step", String(120)),
    Column("message", Text, nullable=False),
    Column("result", Text),
    PrimaryKeyConstraint("run_id", "id"),
)

# What people call a run; `archived` takes it out of the list.
run_tags = Table(
    "run_tags",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("tag", String(40), primary_key=True),
    Index("run_tags_by_tag", "tag"),
)

# Questions at which careful attempts of a step ended (`mstar.poison`).
suspects = Table(
    "suspects",
    metadata,
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("question_id", String(200), nullable=False),
    Column("step", String(120), nullable=False),
    Column("reason", Text, nullable=False),
    # From when on the run is done without it.
    Column("quarantined_at", Float),
    PrimaryKeyConstraint("run_id", "question_id"),
)

# No foreign key: the key is taken before its run is written, so that only one of several equal requests goes on.
idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    # What was begun: a run, or another thing with an id.
    Column("run_id", String(40), nullable=False),
    Column("at", Float, nullable=False),
    # The first answer, as JSON, which every retry gets.
    Column("answer", Text),
)

api_keys = Table(
    "api_keys",
    metadata,
    # Public: the middle part of the key.
    Column("id", String(12), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("roles", String(200), nullable=False),
    Column("project", String(40), nullable=False, index=True),
    Column("limits", Text, nullable=False),
    Column("secret_hash", String(200), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(80), nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
)

# People who signed in. The columns are in the order of `SessionRecord`.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("key_id", String(12)),
    Column("proof", String(64)),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("principal", Text),
    Column("name", String(100), nullable=False, server_default="bootstrap"),
    Column("project", String(40), nullable=False, server_default="default"),
)

# The plan is JSON text: the study as its file says it, with the recipe of every arm made whole.
studies = Table(
    "studies",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("error", Text),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("plan", Text, nullable=False),
    Column("project", String(40), nullable=False, server_default="default"),
)

# In the order in which they are run, one at a time.
study_runs = Table(
    "study_runs",
    metadata,
    Column("study_id", ForeignKey("studies.id"), nullable=False),
    Column("position", Integer, nullable=False, autoincrement=False),
    Column("arm", String(40), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("recipe", Text, nullable=False),
    # None until its turn comes.
    Column("run_id", ForeignKey("runs.id")),
    PrimaryKeyConstraint("study_id", "position"),
    Index("study_runs_by_run", "run_id", unique=True),
)

# Who asked for which change; numbered in the order in which the answers went out.
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("actor", String(80), nullable=False),
    Column("key_id", String(12)),
    Column("project", String(40), nullable=False),
    Column("method", String(10), nullable=False),
    Column("route", String(200), nullable=False),
    Column("object", String(200)),
    Column("status", Integer, nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("address", String(64), nullable=False),
    Index("audit_by_project", "project", "id"),
)

# What people have uploaded, and what batches have written; the content lies in a folder below home, by id.
files = Table(
    "files",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("project", String(40), nullable=False),
    Column("filename", String(200), nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("key_id", String(40)),
    Index("files_by_project", "project", "id"),
    Index("files_by_key", "key_id"),
)

# The columns are in the order of `BatchRecord`. Counts may lag behind what was written for a batch, never be ahead.
batches = Table(
    "batches",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("project", String(40), nullable=False),
    Column("state", String(16), nullable=False),
    Column("endpoint", String(40), nullable=False),
    Column("input_file_id", String(40), nullable=False),
    Column("output_file_id", String(40)),
    Column("error_file_id", String(40)),
    Column("completion_window", String(8), nullable=False),
    Column("metadata", Text),
    Column("error", Text),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("worked_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("cancelling_at", Float),
    Column("ended_at", Float),
    Index("batches_by_project", "project", "id"),
    Index("batches_by_state", "state", "worked_at"),
)

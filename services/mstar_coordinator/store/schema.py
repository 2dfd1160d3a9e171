"""Brings a database's tables to the version that this coordinator writes, with the revisions in `migrations/`."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from mstar.errors import InvalidInput

MIGRATIONS = Path(__file__).with_name("migrations")
LOCK = 0x6D73746172
"""Key of the advisory lock that a coordinator holds on PostgreSQL while it migrates: "mstar" in ASCII."""
BEFORE_ALEMBIC = {2: "0002", 3: "0003"}
"""Revision of each version that a table `schema_version` noted, before Alembic kept the record."""


def migrate(engine: Engine) -> None:
    """Create the tables of a new database, or bring an older one's up to date; one transaction, all or nothing.

    Several processes may call it at once: each waits for the one before it, and then finds nothing to do. Raises
    InvalidInput, with the database unchanged, when a newer release or something else made its tables.
    """
    with engine.connect().execution_options(mstar_writes=True) as connection, connection.begin():
        # SQLite needs none: `mstar_writes` begins a transaction that only one process can have.
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        config = _config(connection)
        scripts = _scripts()
        found = _revision(connection)
        if found is None and inspect(connection).has_table("runs"):
            found = _adopt(connection, config)
        if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
            raise _unknown(f"revision {found}", str(scripts.get_current_head()))
        if found != scripts.get_current_head():
            command.upgrade(config, "head")


@cache
def _scripts() -> ScriptDirectory:
    """The revisions, which are files of this release: read once."""
    return ScriptDirectory(str(MIGRATIONS))


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    # Options are interpolated as in an .ini file, where a percent sign is written twice.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    """What Alembic noted; None when it never ran. Several revisions at once, which we never make, as one text."""
    return ", ".join(sorted(MigrationContext.configure(connection).get_current_heads())) or None


def _adopt(connection: Connection, config: Config) -> str:
    """Hand the record of the version over from the table `schema_version` to Alembic; the revision."""
    noted = None
    if inspect(connection).has_table("schema_version"):
        noted = connection.exec_driver_sql("SELECT max(version) FROM schema_version").scalar()
    revision = BEFORE_ALEMBIC.get(noted or 1)
    if revision is None:
        raise _unknown(f"version {noted or 1}", str(_scripts().get_current_head()))
    command.stamp(config, revision)
    connection.exec_driver_sql("DROP TABLE schema_version")
    return revision


def _unknown(found: str, head: str) -> InvalidInput:
    return InvalidInput(
        f"the database has tables of {found}, which this coordinator does not know (it goes up to revision {head}): "
        "start the release that last wrote to it or a newer one, restore a backup, or name another database",
        field="database_url",
    )

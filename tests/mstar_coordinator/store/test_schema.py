"""Migrations, on SQLite and PostgreSQL: old databases keep their rows, and newer ones are refused."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from coordinator_bench import Bench, database_of
from mstar.api.keys import Principal, Role
from mstar.errors import InvalidInput
from mstar.needed_scores import NO_SAVINGS, Savings
from mstar.reward import RewardRule
from mstar.selection_rules import SelectionMode
from mstar.stages.select import SelectParams
from mstar_coordinator.store.database import open_store
from mstar_coordinator.store.schema import _adopt, _config
from mstar_coordinator.store.tables import metadata

SCHEMA_2 = Path(__file__).with_name("schema_2.sql").read_text()
RUN = "r-01hf7yat00aaaa"
OPEN = "import sys; from mstar_coordinator.store.database import open_store; open_store(sys.argv[1]).close()"


@pytest.fixture
def home(empty_home: Path) -> Path:
    """Without tables: it is about how they come."""
    return empty_home


@contextmanager
def connected(home: Path) -> Iterator[Connection]:
    """A connection that knows nothing of the store; what is done is committed."""
    (home / ".mstar").mkdir(exist_ok=True)
    engine = create_engine(database_of(home))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def load_version_2(home: Path) -> None:
    lines = [line for line in SCHEMA_2.splitlines() if not line.startswith("--")]
    with connected(home) as connection:
        for statement in "\n".join(lines).split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))


def differences(home: Path) -> list[object]:
    with connected(home) as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata))


def note(home: Path, statement: str) -> None:
    with connected(home) as connection:
        connection.exec_driver_sql(statement)


def test_a_new_database_has_the_tables_that_the_code_names(home: Path) -> None:
    open_store(database_of(home)).close()
    assert differences(home) == []


def test_a_database_of_the_first_release_keeps_its_rows_and_gets_the_same_tables(home: Path) -> None:
    load_version_2(home)
    bench = Bench(home)
    run, steps, events = bench.run(RUN), bench.steps(RUN), bench.events(RUN)
    with bench.store.reading() as tx:
        needs = tx.runs._connection.exec_driver_sql("SELECT count(*) FROM step_needs").scalar_one()
    bench.store.close()
    assert (run.name, run.state.value, len(events)) == ("small", "running", 11)
    assert len(steps) == SCHEMA_2.count("INSERT INTO steps ")
    assert needs == SCHEMA_2.count("INSERT INTO step_needs ")
    assert run.recipe.prm is not None and run.recipe.prm.savings == Savings()
    with connected(home) as connection:
        states = connection.exec_driver_sql("SELECT state, renewals FROM steps WHERE state = 'leased'").all()
        assert not inspect(connection).has_table("schema_version")
    assert [tuple(row) for row in states] == [("leased", 0)]
    assert differences(home) == []


def test_savings_that_were_switched_off_stay_off(home: Path) -> None:
    load_version_2(home)
    note(home, """UPDATE runs SET recipe = replace(recipe, '"savings":true', '"savings":false')""")
    bench = Bench(home)
    recipe = bench.run(RUN).recipe
    bench.store.close()
    assert recipe.prm is not None and recipe.prm.savings == NO_SAVINGS


def test_runs_of_before_keep_how_they_rewarded_and_what_they_kept(home: Path) -> None:
    load_version_2(home)
    bench = Bench(home)
    recipe, steps = bench.run(RUN).recipe, bench.steps(RUN)
    bench.store.close()
    assert recipe.reward_rule == RewardRule(answer_block=True)
    rules = [step.spec.params.rule for step in steps.values() if isinstance(step.spec.params, SelectParams)]
    assert {recipe.evolution.selection.min_steps, *(rule.min_steps for rule in rules)} == {0}
    assert rules


def test_runs_of_before_keep_their_questions_and_what_oracle_selected(home: Path) -> None:
    load_version_2(home)
    for table, column in (("runs", "recipe"), ("steps", "spec")):
        note(home, f"""UPDATE {table} SET {column} = replace({column}, '"mode":"top"', '"mode":"oracle"')""")
    bench = Bench(home)
    recipe, steps = bench.run(RUN).recipe, bench.steps(RUN)
    bench.store.close()
    assert recipe.prm is not None and (recipe.prm.own_questions, recipe.prm_start) == (False, 0)
    rules = [step.spec.params.rule for step in steps.values() if isinstance(step.spec.params, SelectParams)]
    assert SelectionMode.SOUND is recipe.evolution.selection.mode
    assert SelectionMode.SOUND in {rule.mode for rule in rules}


def test_checkpoints_that_studies_have_removed_before_are_marked(home: Path) -> None:
    load_version_2(home)
    with connected(home) as connection:
        config = _config(connection)
        _adopt(connection, config)
        command.upgrade(config, "0016")
    note(home, "UPDATE runs SET state = 'succeeded'")
    note(home, "UPDATE steps SET name = 'it02/train' WHERE name = 'publish/01'")
    note(home, "INSERT INTO studies VALUES ('s', 'small', 'succeeded', NULL, 0, 0, '{}', 'default')")
    note(home, f"INSERT INTO study_runs VALUES ('s', 0, 'top-2', 3, '{{}}', '{RUN}')")
    open_store(database_of(home)).close()
    with connected(home) as connection:
        marked = connection.exec_driver_sql("SELECT name FROM steps WHERE removed").scalars().all()
    # The last one is the run's result.
    assert marked == ["it01/train"]


def test_sessions_of_before_are_listed_by_who_is_signed_in(home: Path) -> None:
    load_version_2(home)
    with connected(home) as connection:
        config = _config(connection)
        _adopt(connection, config)
        command.upgrade(config, "0018")
    note(home, "INSERT INTO api_keys VALUES ('blue', 'team blue', 'read', 'b', '{}', 'hash', 0, 'x', NULL, NULL)")
    anna = Principal(name="oidc:anna", roles=frozenset({Role.READ}), project="lab").model_dump_json()
    for place, (key, person) in enumerate(((None, anna), ("blue", None), (None, None))):
        values = {"digest": f"{place}" * 64, "key": key, "person": person}
        with connected(home) as connection:
            connection.execute(text("INSERT INTO sessions VALUES (:digest, :key, 'proof', 0, 1e12, :person)"), values)
    with (store := open_store(database_of(home))).reading() as tx:
        found = [(one.name, one.project) for one in tx.sessions.page(None, None, None, 0, 10)]
    store.close()
    assert sorted(found) == [("bootstrap", "default"), ("oidc:anna", "lab"), ("team blue", "b")]


def test_a_database_of_the_last_version_before_alembic_is_taken_over(home: Path) -> None:
    load_version_2(home)
    with connected(home) as connection:
        config = _config(connection)
        _adopt(connection, config)
        command.upgrade(config, "0003")
    note(home, "DROP TABLE alembic_version")
    note(home, "CREATE TABLE schema_version (version INTEGER PRIMARY KEY)")
    note(home, "INSERT INTO schema_version VALUES (3)")
    bench = Bench(home)
    assert bench.run(RUN).name == "small"
    bench.store.close()
    assert differences(home) == []


def test_processes_that_start_at_once_migrate_once(home: Path) -> None:
    load_version_2(home)
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, database_of(home)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [(process.communicate(timeout=120)[1], process.returncode) for process in started]
    # On SQLite one of them may hold the file when another comes, which is refused before it looks at the tables.
    alone = database_of(home).startswith("sqlite")
    assert all(code == 0 or (alone and "another coordinator" in error) for error, code in said), said
    assert 0 in [code for _, code in said]
    assert differences(home) == []


def test_tables_of_a_newer_release_are_refused_and_left_alone(home: Path) -> None:
    open_store(database_of(home)).close()
    note(home, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InvalidInput, match=r"revision 9999, which this coordinator does not know.* newer one"):
        open_store(database_of(home))
    with connected(home) as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "9999"


@pytest.mark.parametrize("version", [1, 4])
def test_a_version_that_no_release_had_is_refused_and_left_alone(home: Path, version: int) -> None:
    load_version_2(home)
    note(home, f"UPDATE schema_version SET version = {version}")
    with pytest.raises(InvalidInput, match=f"version {version}, which this coordinator does not know"):
        open_store(database_of(home))
    with connected(home) as connection:
        tables = inspect(connection).get_table_names()
    assert "schema_version" in tables and "alembic_version" not in tables


def test_a_migration_that_fails_leaves_the_database_as_it_was(home: Path) -> None:
    load_version_2(home)
    # The second statement of the revision fails: the first must be undone with it.
    note(home, "CREATE INDEX in_the_way ON steps (lease_until)")
    note(home, "CREATE VIEW leases AS SELECT lease_until FROM steps")
    with pytest.raises(Exception, match="lease_until"):
        open_store(database_of(home))
    with connected(home) as connection:
        assert "renewals" not in {column["name"] for column in inspect(connection).get_columns("steps")}
        assert inspect(connection).has_table("schema_version")

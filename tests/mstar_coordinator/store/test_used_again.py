"""The database on PostgreSQL that the tests of one process have one after the other."""

import pytest
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.exc import OperationalError

from mstar_coordinator.store.database import open_store
from mstar_coordinator.store.tables import idempotency
from postgres_server import PostgresServer


def make_tables(url: str) -> None:
    open_store(url).close()


def test_the_next_test_finds_no_row_and_the_one_before_no_database(postgres: PostgresServer) -> None:
    engines = []
    for _ in range(2):
        with postgres.filled_database(make_tables) as url:
            engines.append(create_engine(url))
            with engines[-1].begin() as connection:
                assert connection.execute(select(func.count()).select_from(idempotency)).scalar_one() == 0
                connection.execute(insert(idempotency).values(key="k", run_id="r", body_sha256="0", at=0.0))
    for engine in engines:
        engine.dispose()
        with pytest.raises(OperationalError, match="does not exist"):
            engine.connect()


def test_a_test_that_changes_the_tables_is_told_to_have_its_own(postgres: PostgresServer) -> None:
    with pytest.raises(AssertionError, match="own"), postgres.filled_database(make_tables) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE INDEX in_the_way ON steps (worker)"))
        engine.dispose()
    # And the next one finds the tables as they were.
    with postgres.filled_database(make_tables):
        pass

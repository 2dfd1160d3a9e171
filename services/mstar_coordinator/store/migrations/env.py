"""What Alembic executes for a command: it runs revisions on the connection, and in the transaction, that it is given.

Only Alembic loads this module; see `mstar_coordinator.store.schema`.
"""

from alembic import context

from mstar_coordinator.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()

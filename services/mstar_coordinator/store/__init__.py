"""State in SQL: `database` opens it and makes transactions; `runs`, `steps` and `events` hold the statements.

Only this package knows SQLAlchemy. What may follow what is decided in `scheduler.run_lifecycle` and
`scheduler.step_lifecycle`.
"""

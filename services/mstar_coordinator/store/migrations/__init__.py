"""Alembic's environment for the coordinator's database, and one revision for each version of its tables."""

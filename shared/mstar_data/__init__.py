"""Imports the data sets people have into the project's own folder: one reader a published shape, one writer.

Needs no torch and opens no network. Parquet needs `pyarrow`, which is asked for only then.
"""

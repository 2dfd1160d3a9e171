"""Bulk scoring: uploaded files, and batches of requests that are processed in the background."""

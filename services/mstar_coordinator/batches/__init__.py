"""Bulk scoring: files that people upload, and batches of requests that are worked off in the background."""

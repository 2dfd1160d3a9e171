"""Immutable artefacts behind hashed manifests, and images by content hash. No database, no torch."""

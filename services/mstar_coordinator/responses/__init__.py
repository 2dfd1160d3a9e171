"""Search through the responses that a run sampled: an index beside the database, made from the run's artefacts."""

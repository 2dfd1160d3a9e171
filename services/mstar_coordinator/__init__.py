"""The coordinator: the truth about runs, their state machine, and the queueing of their steps."""

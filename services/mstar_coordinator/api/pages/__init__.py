"""The pages of the coordinator: runs, the progress of one run, and the responses of an iteration."""

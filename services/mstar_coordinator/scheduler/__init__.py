"""What decides: runs through their states, steps to workers, queues and files kept in step with the database."""

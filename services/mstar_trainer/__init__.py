"""The trainer: a Celery worker on the queue `train`, and the resident child processes in which DeepSpeed runs."""

"""What trainer and coordinator workers share: Celery's settings, and the loop that claims, does and commits a step."""

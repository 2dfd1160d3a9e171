"""HTTP routes of the coordinator, one file a concern. They translate; `lifecycle` and `store` decide and read."""

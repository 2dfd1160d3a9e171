"""HTTP routes of the coordinator, one file a concern. They translate; `rounds` and `store` decide and read."""

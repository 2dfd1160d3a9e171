"""HTTP routes of the coordinator, one file a concern. They translate; `scheduler` decides and `store` reads."""

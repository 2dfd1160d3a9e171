"""Who may use the coordinator: keys that are made and revoked at run time, and sessions of people in browsers."""

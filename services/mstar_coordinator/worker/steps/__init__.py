"""What each kind of step does, one module a kind. Nothing here opens the database: inputs come with the claim."""

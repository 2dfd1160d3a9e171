"""Request and response bodies of every service, one module for each."""

"""Runs in the trackers that people have already: what is sent, to which tools, and when."""

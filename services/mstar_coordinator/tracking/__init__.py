"""Sends runs to experiment trackers: which numbers, to which tools, and when."""

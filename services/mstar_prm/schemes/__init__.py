"""The ways in which process reward models score a step: a file for each scheme, behind one interface."""

"""How process reward models say what they think of a step: a file for each scheme, behind one interface."""

"""What does the work of a step: claims from a queue, asks policy and PRM, writes artefacts. Opens no database."""

"""What a run leaves behind: policy, PRM, CoT data set and PRM data set, each with a card, and the report."""

"""The PRM service: a score for every step of a response, for the loop and for outside data curation."""

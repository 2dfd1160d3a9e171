"""The pages that the coordinator serves to people: runs, one run as it goes, and the responses of an iteration."""

"""The policy service: samples responses of the current policy, all of a reply from one weight version."""

"""GPUs that the services take in turns, on a Kubernetes cluster or in place."""

"""Access to the API server of a Kubernetes cluster: the only package that imports the official client."""

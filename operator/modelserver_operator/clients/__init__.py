"""Clients of the Kubernetes API and of the model servers."""

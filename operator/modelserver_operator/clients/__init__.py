"""Who is asked: the Kubernetes API and the model servers."""

"""Parts of a pod that an object passes on, with the fields that Kubernetes gives them."""

"""What a cluster is made of: the Go programs, the base image and the node image."""

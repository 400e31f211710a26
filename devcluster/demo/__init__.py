"""The project on a cluster: images, installation, examples; for `make demo` and the end-to-end tests."""

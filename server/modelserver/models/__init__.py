"""Which models are wanted, and which are served."""

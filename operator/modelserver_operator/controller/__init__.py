"""The running process: watches, relisting, the queue, start and stop."""

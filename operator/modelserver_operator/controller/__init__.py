"""The running process: watches, the relist, the queue, start and stop."""

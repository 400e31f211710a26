"""The REST front: its routes, and inference as bare ASGI."""

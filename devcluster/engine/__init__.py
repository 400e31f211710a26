"""The container engine: the client that is used, and the docker daemon if we start it."""

from devcluster.engine.engine import RUNTIME, Engine, ensure, find, needs_runtime, stop

__all__ = ["RUNTIME", "Engine", "ensure", "find", "needs_runtime", "stop"]

"""The container engine: which client has one that answers, and the docker daemon that is started here."""

from devcluster.engine.engine import RUNTIME, Engine, ensure, find, needs_runtime, stop

__all__ = ["RUNTIME", "Engine", "ensure", "find", "needs_runtime", "stop"]

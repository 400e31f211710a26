"""Starts a command without some of its standard streams, as a careless supervisor does."""

STREAMS = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-"}
SUBSETS = (
    ("stdin",), ("stdout",), ("stderr",), ("stdin", "stdout"), ("stdin", "stderr"), ("stdout", "stderr"),
    ("stdin", "stdout", "stderr"),
)  # fmt: skip


def without(streams: tuple[str, ...]) -> tuple[str, ...]:
    """To be put before a command."""
    return ("sh", "-c", f'exec "$@" {" ".join(STREAMS[name] for name in streams)}', "sh")

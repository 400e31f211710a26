"""What KEDA 2.21 asked once, as it was recorded by tests/scale/test_keda_query.py."""

import re
from pathlib import Path

RECORDED = (Path(__file__).parent.parent / "data" / "keda_query.txt").read_text()
"""With HOST for the host and KEY for the key."""


def request(host: str, path: str) -> bytes:
    """The recorded request for another host and path."""
    text = re.sub(r"^GET \S+", f"GET {path}", RECORDED.replace("Host: HOST", f"Host: {host}"))
    return text.replace("\n", "\r\n").encode()


def comparable(asked: str) -> str:
    """A request as it is kept: without what differs from one cluster to another."""
    return re.sub(r"^Host: .*$", "Host: HOST", asked.replace("\r\n", "\n"), flags=re.MULTILINE)

"""What KEDA 2.21 asks by its source (metrics_api_scaler.go and Go's HTTP client).

tests/scale/test_keda_query.py compares it with what a real KEDA sends.
"""

import re
from pathlib import Path

QUERY = (Path(__file__).parent.parent / "data" / "keda_query.txt").read_text()
"""With HOST for the host and KEY for the key."""


def request(host: str, path: str) -> bytes:
    """The request for another host and path."""
    text = re.sub(r"^GET \S+", f"GET {path}", QUERY.replace("Host: HOST", f"Host: {host}"))
    return text.replace("\n", "\r\n").encode()


def comparable(asked: str) -> str:
    """A request as it is kept: without what differs from one cluster to another."""
    return re.sub(r"^Host: .*$", "Host: HOST", asked.replace("\r\n", "\n"), flags=re.MULTILINE)

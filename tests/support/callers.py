"""Callers that leave a server no pause."""

import contextlib
import http.client
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def callers(port: int, number: int, tensor: bytes, model: str = "m") -> Iterator[None]:
    """Each sends this tensor to the REST port again as soon as it has the answer."""
    ended = threading.Event()

    def call() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not ended.is_set():
            headers = {"Inference-Header-Content-Length": "0"}
            connection.request("POST", f"/v2/models/{model}/infer", tensor, headers)
            assert connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()

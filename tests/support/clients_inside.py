"""Clients of a served model, run inside the cluster in the server's image, until stdin is closed.

argv: host, REST port, model, number of clients, pause of each in seconds. Each sends an image as one tensor,
and again after the pause once it has the answer; every answer is compared with the first. A connection
serves ten requests, so that a new replica gets its share. Prints the counts.
"""

import array
import http.client
import json
import sys
import threading
import time

HOST, PORT, MODEL, CLIENTS, PAUSE = (
    sys.argv[1],
    int(sys.argv[2]),
    sys.argv[3],
    int(sys.argv[4]),
    float(sys.argv[5]),
)
IMAGE = bytes(number % 251 for number in range(48 * 192 * 3))
PER_CONNECTION = 10
answers: list[list[float]] = []
errors: list[str] = []
counts = [0] * CLIENTS
ended = threading.Event()


def connected() -> http.client.HTTPConnection:
    return http.client.HTTPConnection(HOST, PORT, timeout=30)


def ask(connection: http.client.HTTPConnection) -> list[float]:
    connection.request("POST", f"/v2/models/{MODEL}/infer", IMAGE, {"Inference-Header-Content-Length": "0"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {body[:200]!r}")
    return array.array("f", body[int(answer.headers["Inference-Header-Content-Length"]) :]).tolist()


def check(data: list[float]) -> None:
    if not answers:
        answers.append(data)
    if any(abs(one - other) > 1e-3 for one, other in zip(data, answers[0], strict=True)):
        raise RuntimeError(f"wrong answer {data} instead of {answers[0]}")


def call(client: int) -> None:
    connection = connected()
    while not ended.wait(PAUSE):
        try:
            check(ask(connection))
            counts[client] += 1
        except Exception as error:  # noqa: BLE001 - whatever fails is what is counted
            errors.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
            time.sleep(0.2)
        if counts[client] % PER_CONNECTION == 0 or errors:
            connection.close()
            connection = connected()
    connection.close()


threads = [threading.Thread(target=call, args=(client,)) for client in range(CLIENTS)]
for thread in threads:
    thread.start()
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
sys.stdout.write(json.dumps({"answered": sum(counts), "errors": errors}))

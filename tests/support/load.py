"""Sends requests to a served model from inside the cluster, in the server's image, until stdin is closed.

argv: host, REST port. Every answer is checked; half of the requests reuse a connection. Prints the counts.
"""

import http.client
import json
import sys
import threading
import time

HOST, PORT = sys.argv[1], int(sys.argv[2])
VALUES = [float(number) for number in range(10)]
BODY = json.dumps({"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": VALUES}]})


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/v2/models/plus-one/infer", BODY)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {body[:200]!r}")
    if json.loads(body)["outputs"][0]["data"] != [value + 1 for value in VALUES]:
        raise RuntimeError(f"wrong answer {body[:200]!r}")


def main() -> None:
    answered, errors = 0, []
    kept = http.client.HTTPConnection(HOST, PORT, timeout=20)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.is_set():
        reuse = answered % 2 == 0
        connection = kept if reuse else http.client.HTTPConnection(HOST, PORT, timeout=20)
        try:
            ask(connection)
            answered += 1
        except Exception as error:  # noqa: BLE001 - whatever fails is what is counted
            errors.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
            kept.close()
        if not reuse:
            connection.close()
        time.sleep(0.02)
    sys.stdout.write(json.dumps({"answered": answered, "errors": errors}))


main()

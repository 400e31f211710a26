"""Asks a served model over and over from inside the cluster, in the server's image; prints how that went.

argv: host, REST port, seconds. Every request's answer is checked; half of them reuse a connection.
"""

import http.client
import json
import sys
import time

HOST, PORT, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
VALUES = [float(number) for number in range(10)]
BODY = json.dumps({"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": VALUES}]})


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("POST", "/v2/models/plus-one/infer", BODY)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {said[:200]!r}")
    if json.loads(said)["outputs"][0]["data"] != [value + 1 for value in VALUES]:
        raise RuntimeError(f"wrong answer {said[:200]!r}")


def main() -> None:
    answered, errors = 0, []
    kept = http.client.HTTPConnection(HOST, PORT, timeout=20)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
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

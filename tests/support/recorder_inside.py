"""Takes down what is asked, byte for byte, until stdin is closed; run inside the cluster.

argv: port, answer. Every request gets that answer. Prints the requests.
"""

import contextlib
import json
import socket
import sys
import threading

PORT, ANSWER = int(sys.argv[1]), sys.argv[2].encode()
asked: list[str] = []
listener = socket.create_server(("", PORT))


def serve() -> None:
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            record(connection)


def record(connection: socket.socket) -> None:
    connection.settimeout(5)
    head = b""
    while b"\r\n\r\n" not in head:
        if not (more := connection.recv(65536)):
            return  # a connection that asks nothing
        head += more
    asked.append(head.decode())
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(ANSWER)}"]
    connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + ANSWER)


threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
sys.stdout.write(json.dumps(asked))

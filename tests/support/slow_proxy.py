"""Passes connections on to where they were going, and answers back in small pieces; run on a node.

argv: port, bytes of a piece, seconds between two. The node redirects connections to the port. Prints a line
of JSON for each connection: the bytes of the answer and the seconds that it took.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
import time

PORT, PIECE, PAUSE = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
SO_ORIGINAL_DST = 80


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def destination(writer: asyncio.StreamWriter) -> tuple[str, int]:
    """Where the caller wanted to go, from the kernel's table of connections."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack_from("!2xH4s", raw)
    return socket.inet_ntoa(address), port


async def there(reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        server.write(part)
        await server.drain()


async def back(server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    total = 0
    while part := await server.read(PIECE):
        writer.write(part)
        await writer.drain()
        total += len(part)
        await asyncio.sleep(PAUSE)
    return total


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    begun = time.monotonic()
    with contextlib.suppress(OSError):
        from_server, to_server = await asyncio.open_connection(*destination(writer))
        request = asyncio.create_task(there(reader, to_server))
        size = await back(from_server, writer)
        request.cancel()
        to_server.close()
        say(json.dumps({"bytes": size, "seconds": time.monotonic() - begun}))
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "0.0.0.0", PORT)
    async with server:
        say("listening")
        await server.serve_forever()


asyncio.run(main())

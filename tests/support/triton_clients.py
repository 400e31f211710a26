"""tritonclient alone in its environment: numbers and strings through all four clients, answers as JSON.

argv: REST address, gRPC address. stdin: rows of ten numbers.
"""

import asyncio
import inspect
import json
import sys

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio

KINDS = {
    tritonclient.http: sys.argv[1],
    tritonclient.http.aio: sys.argv[1],
    tritonclient.grpc: sys.argv[2],
    tritonclient.grpc.aio: sys.argv[2],
}


async def settled(result):
    return await result if inspect.isawaitable(result) else result


async def ask(module, address, rows):
    client = module.InferenceServerClient(address)
    numbers = module.InferInput("b", [len(rows), 10], "FP32")
    numbers.set_data_from_numpy(np.array(rows, np.float32))
    texts = module.InferInput("x", [2], "BYTES")
    texts.set_data_from_numpy(np.array([b"a", b"\0"], object))
    try:
        assert await settled(client.is_server_ready())
        plus_one = await settled(client.infer("dynamic", [numbers]))
        same = await settled(client.infer("bytes", [texts]))
    finally:
        await settled(client.close())
    return {"numbers": plus_one.as_numpy("a").tolist(), "texts": [one.decode() for one in same.as_numpy("x")]}


async def main():
    rows = json.load(sys.stdin)
    sys.stdout.write(json.dumps([await ask(module, address, rows) for module, address in KINDS.items()]))


asyncio.run(main())

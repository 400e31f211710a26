"""`make bench-quick`: ours, KServe's Python SDK and benchmark_app, interleaved round by round in one run.

Writes bench/results/<date>-quick.json and the tables of docs/performance.md.
"""

import argparse
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import answers, machine, models, payloads, render, tools
from bench.load import Caller, Point
from bench.peers import CLIENT_CORE, SERVER_CORE, Peer, benchmark_app, kserve, ours

RESULTS = Path(__file__).with_name("results")
WARM_UP_SECONDS = 1
Label = tuple[str, str]
"""Case, and who it is."""
Where = tuple[int, int | None]
"""Number of callers, and their core."""


@dataclass(frozen=True)
class Variant:
    """One thing measured: its case, who it is, and how to take a point in this many seconds."""

    case: str
    who: str
    measure: Callable[[int], Point]
    size: int = 0
    """Bytes of one request."""


@dataclass(frozen=True)
class Run:
    """Where one run works and what it uses."""

    directory: Path
    programs: tools.Tools

    def file(self, name: str) -> Path:
        return self.directory / name

    def caller(self, callers: int, seconds: int, core: int | None = None) -> Caller:
        return Caller(self.programs.wrk, self.programs.ghz, callers, seconds, core)

    def rest(
        self, label: tuple[str, str], peer: Peer, body: payloads.Body, where: tuple[int, int | None]
    ) -> Variant:
        """With wrk."""

        def measure(seconds: int) -> Point:
            return self.caller(where[0], seconds, where[1]).rest(peer.pid, peer.infer_url, body)

        return Variant(*label, measure, body.size)

    def grpc(
        self, label: tuple[str, str], peer: Peer, body: payloads.Body, where: tuple[int, int | None]
    ) -> Variant:
        """With ghz."""

        def measure(seconds: int) -> Point:
            return self.caller(where[0], seconds, where[1]).grpc(peer.pid, peer.address, body)

        return Variant(*label, measure, body.size)


def small(run: Run, stack: contextlib.ExitStack) -> Iterator[Variant]:
    """The 1x10 model at 8 callers against KServe: almost nothing but the servers themselves."""
    directory = models.save(models.dummy(), run.file("dummy"))
    array = np.arange(10, dtype=np.float32).reshape(1, 10)
    peers = {
        "ours": stack.enter_context(ours(directory, run.directory)),
        "KServe": stack.enter_context(kserve(run.programs, directory, run.directory)),
    }
    text = payloads.as_json(run.file("dummy.json"), "b", array)
    binary = payloads.as_binary(run.file("dummy.bin"), "b", array)
    message = payloads.as_grpc(run.file("dummy.pb"), "dummy", "b", array)
    for who, peer in peers.items():
        answers.check(peer, answers.Requests(text, binary, message), array + 1)
        yield run.rest(("1x10, REST JSON", who), peer, text, (8, None))
        yield run.rest(("1x10, REST binary", who), peer, binary, (8, None))
        yield run.grpc(("1x10, gRPC raw", who), peer, message, (8, None))


def large(run: Run, stack: contextlib.ExitStack) -> Iterator[Variant]:
    """ResNet-50's shape against benchmark_app: each of them on one core, the client on the other."""
    directory = models.save(models.resnet(), run.file("resnet"))
    peer = stack.enter_context(ours(directory, run.directory, core=SERVER_CORE))
    effect = _effect(peer)
    random = np.random.default_rng(1)
    array = random.integers(0, 255, (1, 3, 224, 224)).astype(np.float32)
    binary = payloads.as_binary(run.file("resnet.bin"), "data", array)
    message = payloads.as_grpc(run.file("resnet.pb"), "resnet", "data", array)
    where = (4, CLIENT_CORE)

    def bare(seconds: int) -> Point:
        model = directory / "1" / "model.xml"
        return benchmark_app(run.programs, model, seconds, effect, SERVER_CORE)

    yield Variant("ResNet-50-shaped", "benchmark_app", bare, array.nbytes)
    yield run.grpc(("ResNet-50-shaped", "ours, gRPC raw"), peer, message, where)
    yield run.rest(("ResNet-50-shaped", "ours, REST binary"), peer, binary, where)


def encodings(run: Run, stack: contextlib.ExitStack) -> Iterator[Variant]:
    """One 224x224x3 image in the four encodings, for a model that does almost nothing with it."""
    directory = models.save(models.picture(), run.file("picture"))
    peer = stack.enter_context(ours(directory, run.directory))
    image = payloads.smooth_image()
    scaled = (image.astype(np.float32) / np.float32(255))[None]
    bodies = {
        "JSON, all decimals": payloads.as_json(run.file("full.json"), "image", scaled),
        "JSON, 3 decimals": payloads.as_json(run.file("rounded.json"), "image", scaled, 3),
        "binary extension": payloads.as_binary(run.file("image.bin"), "image", scaled),
        "JPEG": payloads.as_jpeg(run.file("image.jpg"), "image", image),
    }
    for who, body in bodies.items():
        yield run.rest(("224x224x3 image", who), peer, body, (4, None))


def _effect(peer: Peer) -> dict[str, int]:
    """Streams, infer requests and threads as the device reports them, for benchmark_app."""
    (model,) = peer.status()["models"]
    return {key: int(model[key]) for key in ("streams", "nireq", "threads")}


def measure(variants: list[Variant], rounds: int, seconds: int) -> list[dict[str, Any]]:
    """All points; a round takes one of each variant, so that a busy moment hits all of them alike."""
    for variant in variants:
        variant.measure(WARM_UP_SECONDS)
    points = []
    for number in range(1, rounds + 1):
        for variant in variants:
            point = variant.measure(seconds)
            which = {"case": variant.case, "who": variant.who, "round": number}
            points.append(which | {"request_bytes": variant.size} | point.as_json())
            print(f"{number}  {variant.case:22} {variant.who:20} {point.cpu_us:10.0f} us CPU"
                  f" {point.per_second:9.1f}/s  {point.failed} failed", flush=True)  # fmt: skip
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="per point")
    parser.add_argument("--only", choices=("small", "large", "encodings"), help="a part; only printed")
    options = parser.parse_args()
    programs = tools.prepare()
    before = machine.facts()
    parts = {"small": small, "large": large, "encodings": encodings}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, contextlib.ExitStack() as stack:
        run = Run(Path(directory), programs)
        chosen = [parts[options.only]] if options.only else list(parts.values())
        variants = [variant for part in chosen for variant in part(run, stack)]
        points = measure(variants, options.rounds, options.seconds)
    document = {
        "machine": before | {"kserve": tools.KSERVE_VERSION},
        "seconds": options.seconds,
        "points": points,
    }
    if options.only:
        print(render.tables(document))
        return
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-quick.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    render.write(document, "quick", file)
    print(f"==> {file} and docs/performance.md")


if __name__ == "__main__":
    main()

"""An environment of its own for other people's clients: what they ask for must not meet what the server has.

It is built once per set of versions with pip and stays in the project's cache.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

from devcluster.host.paths import cache, remove_unused

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
INSTALLED = {
    "triton": (("tritonclient[grpc,http]",),),
    "tensorflow": (
        ("ovmsclient==2023.1", "grpcio", "numpy", "protobuf"),
        ("--no-deps", "tensorflow-serving-api==2.21.0", "tensorflow-protobuf==2.11.0"),
    ),
}
"""Arguments of pip. tensorflow-serving-api asks for all of TensorFlow, but needs its messages only."""
ERROR_CODES = '''
"""The enum tensorflow.error.Code: tensorflow-protobuf leaves it out, and today it comes from another file."""
import sys

from google.protobuf import descriptor_pb2, descriptor_pool

_file = descriptor_pb2.FileDescriptorProto(
    name="tensorflow/core/protobuf/error_codes.proto", package="tensorflow.error", syntax="proto3"
)
_code = _file.enum_type.add(name="Code")
for _number, _name in enumerate(
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED"
    " RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE"
    " DATA_LOSS UNAUTHENTICATED".split()
):
    _code.value.add(name=_name, number=_number)
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(_file.SerializeToString())
xla_dot_tsl_dot_protobuf_dot_error__codes__pb2 = sys.modules[__name__]
'''


def python(kind: str) -> Path:
    """The interpreter of the environment, which is built when it is not there yet."""
    texts = (repr(INSTALLED[kind]), ERROR_CODES, CONSTRAINTS.read_text(), sys.version)
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    root = cache() / "clients"
    root.mkdir(parents=True, exist_ok=True)
    home = root / key
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _build(home, kind)
        remove_unused(root, home)
    return home / "bin" / "python"


def _build(home: Path, kind: str) -> None:
    venv.create(home, with_pip=True, clear=True)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", CONSTRAINTS]
    for packages in INSTALLED[kind]:
        subprocess.run([*install, *packages], check=True, timeout=240)
    if kind == "tensorflow":
        (site,) = home.glob("lib/python*/site-packages")
        (site / "tensorflow" / "core" / "protobuf" / "error_codes_pb2.py").write_text(ERROR_CODES)
    (home / "complete").touch()


def run(script: Path, *arguments: str, calls: object, kind: str = "tensorflow") -> object:
    """A script in the environment: JSON in, JSON out."""
    ended = subprocess.run(
        [python(kind), "-I", script, *arguments],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)

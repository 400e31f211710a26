"""Random ModelServer objects, drawn from the CRD's schema and then damaged."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from modelserver_operator.api.crd import crd

SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
QUANTITIES = (
    "1", "2", "4", "500m", "1500m", "2000m", "1e0", "1e9", "129e6", "8.589934592e+09", "+1", ".5", "1E", "2.",
    "2000000u", "3000000000n", "1000000000.000000001", "1e-12", "9Ei", "10Ei", "1e99", "0", "2Gi", "1.5Gi",
)  # fmt: skip
NO_QUANTITIES = (
    "1e",
    "1e1.5",
    "1K",
    "-1",
    "",
    "many",
    "1 ",
    "1_0",
    "+",
    ".",
    "1ki",
    "1e100",
    "1" * 25,
    "\u0661",
)
URIS = (
    "pvc://models/m", "pvc://models", "file:///m", "s3://b/m", "pvc:///m", "pvc://My_Claim/m", "pvc://c/../m",
    "file://m", "ftp://h/m", "pvc://..", "pvc://a..", "pvc://c/..a", "oci://i#../m", "pvc://c/m\n", "PVC://c",
)  # fmt: skip
DEVICES = (
    "CPU",
    "CPU",
    "GPU",
    "GPU.1",
    "NPU",
    "AUTO",
    "AUTO:GPU,CPU",
    "HETERO:GPU,CPU",
    "BATCH:GPU(4)",
    "TPU",
)
_CPU = {"type": "CPU", "averageUtilization": 80}
METRICS: tuple[Any, ...] = (
    [], [_CPU], [_CPU, _CPU], [{"type": "CPU"}], [{"type": "CPU", "averageValue": 1}],
    [{**_CPU, "averageValue": 1}],
    *([{"type": kind, "averageValue": value}] for kind in ("RequestsPerStream", "Concurrency")
      for value in ("750m", 8, "1e6", "1000001", "1m", "999u", 0)),
    [_CPU, {"type": "RequestsPerStream", "averageValue": "1.5"}, {"type": "Concurrency", "averageValue": 8}],
    [{"type": "Concurrency", "averageUtilization": 8}],
)  # fmt: skip
CRONS = (
    "0 8 * * 1-5",
    "*/5 0 ? JAN,MAR MON",
    "0 18 * * 1-5",
    "0 8 * *",
    "0 8 * * * *",
    "",
    " 0 8 * * 1",
    "0 8 * * é",
)
KEYS = ("a", "A.b_c", "example.com/a", "cpu", "memory", "NUM_STREAMS", "CPU_THROUGHPUT_STREAMS", "X")
NO_KEYS = ("", "a//b", "-a", "a b", "é", "a" * 400, "a\n")
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.5, 2**31, 2**53 + 1, 2**64, "", "a", "A", "a\n", "é", "2", "auto", "AUTO",
    "NUMA", "0%", "100%", "101%", "0", "modelserver-x", "a" * 5000, "..",
    {}, [], [1], ["a"], {"a": "b"}, {"name": "a"},
    *QUANTITIES, *NO_QUANTITIES,
)  # fmt: skip
NAMES = (
    *("server",) * 40,
    "a",
    "a-b",
    "a1",
    "A",
    "aB",
    "a-",
    "é",
    "9a",
    "a.b",
    "a" * 52,
    "a" * 53,
    "-a",
    "a\n",
)
Path = tuple[str | int, ...]


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """An object as kubectl would send it: its numbers are whole or have a fraction, never 2.0."""
    body = {
        "apiVersion": "modelserver.dev/v1alpha1",
        "kind": "ModelServer",
        "metadata": {"name": draw(st.sampled_from(NAMES))},
        "spec": draw(_value(SCHEMA, ())),
    }
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        _damage(draw, body)
    return body


def is_nested(body: dict[str, Any]) -> bool:
    """Whether a property of pluginConfig is no scalar: the one thing that no schema can see."""
    spec = body["spec"] if isinstance(body["spec"], dict) else {}
    models = spec["models"] if isinstance(spec.get("models"), list) else []
    found = [level.get("pluginConfig") for level in (spec, *models) if isinstance(level, dict)]
    return any(
        isinstance(item, dict | list)
        for config in found
        if isinstance(config, dict)
        for item in config.values()
    )


def _value(node: dict[str, Any], path: Path) -> st.SearchStrategy[Any]:
    if path[-1:] in _POOLS:
        return st.sampled_from(_POOLS[path[-1:]]).map(deepcopy)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return _int_or_string(node)
    made: Callable[..., st.SearchStrategy[Any]] = _KINDS[node["type"]]
    return made(node, path)


def _int_or_string(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    numbers = st.integers(node["minimum"], 4)
    if "e" in node.get("pattern", ""):
        return numbers | st.sampled_from(QUANTITIES)
    return numbers | st.from_regex(node.get("pattern", "^a?$"), fullmatch=True)


def _text(node: dict[str, Any], _: Path) -> st.SearchStrategy[str]:
    if "pattern" in node:
        return st.from_regex(node["pattern"], fullmatch=True).filter(
            lambda text: len(text) <= node["maxLength"]
        )
    return st.text("ab/.-_ é", min_size=node.get("minLength", 0), max_size=8)


def _integer(node: dict[str, Any], _: Path) -> st.SearchStrategy[int]:
    least, most = node.get("minimum", 0), node.get("maximum", 2**31)
    return st.integers(least, min(least + 6, most)) | st.sampled_from((least, most))


def _list(node: dict[str, Any], path: Path) -> st.SearchStrategy[list[Any]]:
    keys = node.get("x-kubernetes-list-map-keys")
    unique = (lambda item: tuple(item[key] for key in keys)) if keys else None
    size = {"min_size": node.get("minItems", 0), "max_size": max(2, node.get("minItems", 0))}
    return st.lists(_value(node["items"], path), unique_by=unique, **size)


@st.composite
def _object(draw: st.DrawFn, node: dict[str, Any], path: Path) -> dict[str, Any]:
    inner = node.get("additionalProperties")
    if inner or "x-kubernetes-preserve-unknown-fields" in node:
        item = _value(inner, path) if inner else st.sampled_from(("YES", "bf16", 1, 0.5, True))
        return draw(st.dictionaries(st.sampled_from(KEYS), item, max_size=2))
    required = node.get("required", [])
    # Reversed: the first is drawn most often, and an accelerator needs its device.
    optional = sorted(set(node.get("properties", {})) - set(required), reverse=True)
    more = (
        draw(st.lists(st.sampled_from(optional), max_size=1 + len(optional) // 4, unique=True))
        if optional
        else []
    )
    return {name: draw(_value(node["properties"][name], (*path, name))) for name in (*required, *more)}


_KINDS: dict[str, Any] = {
    "string": _text,
    "integer": _integer,
    "boolean": lambda *_: st.booleans(),
    "array": _list,
    "object": _object,
}
_POOLS: dict[Path, tuple[Any, ...]] = {
    ("uri",): URIS[:3] * 4 + URIS,
    ("device",): DEVICES,
    ("metrics",): METRICS,
    ("start",): CRONS,
    ("end",): CRONS,
    ("timeZone",): (
        "Etc/UTC",
        "Europe/Berlin",
        "UTC",
        "Etc/GMT+1",
        "Europe/Berln",
        "Local",
        "/UTC",
        "a b",
        "",
    ),
}


def _damage(draw: st.DrawFn, body: dict[str, Any]) -> None:
    """Change one place of the spec."""
    path = draw(st.sampled_from(list(_paths(body["spec"], ("spec",)))))
    holder: Any = body
    for part in path[:-1]:
        holder = holder[part]
    value = holder[path[-1]]
    match draw(st.sampled_from(("replace", "replace", "remove", "add", "repeat"))):
        case "remove" if len(path) > 1:
            del holder[path[-1]]
        case "add" if isinstance(value, dict):
            value[draw(st.sampled_from((*KEYS, *NO_KEYS)))] = deepcopy(draw(st.sampled_from(ODD)))
        case "repeat" if isinstance(value, list) and value:
            value.append(value[0])
        case _:
            holder[path[-1]] = deepcopy(draw(st.sampled_from(ODD)))


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from _paths(item, (*path, key))

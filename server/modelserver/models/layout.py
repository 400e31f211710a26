"""Which of the files in a directory is the model, and which others it is read from."""

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path, PurePath

from modelserver.models.external_data import external_files

SAVED_MODEL = "saved_model.pb"
_SUFFIXES = (".xml", ".onnx", ".pdmodel", ".pb", ".tflite")
_WEIGHTS = {".xml": ".bin", ".pdmodel": ".pdiparams"}
_STEMS = ("model", "openvino_model")
"""What exporters call the model itself, beside tokenizers and the like."""
_MAX_PARTS = 10_000


def is_hidden(name: str) -> bool:
    """Companions that file managers, editors and copying tools leave: nobody means them as models."""
    return name.startswith(".")


def model_files(names: Iterable[str]) -> list[str]:
    """Those of a directory's files that could be the model, the one that is served first.

    By format; then a file named as exporters name the model, then one with its weights beside it, then by
    name. The other `.pb` files of a SavedModel do not count.
    """
    visible = {name for name in names if not is_hidden(name)}
    found = [name for name in visible if PurePath(name).suffix in _SUFFIXES]
    if SAVED_MODEL in visible:
        found = [name for name in found if name == SAVED_MODEL or not name.endswith(".pb")]

    def rank(name: str) -> tuple[int, int, bool, str]:
        path = PurePath(name)
        named = _STEMS.index(path.stem) if path.stem in _STEMS else len(_STEMS)
        weights = _WEIGHTS.get(path.suffix)
        is_bare = weights is not None and path.with_suffix(weights).name not in visible
        return _SUFFIXES.index(path.suffix), named, is_bare, name

    return sorted(found, key=rank)


def parts_of(model: Path) -> list[Path]:
    """Every file that the model is read from, itself first; some may not exist (yet). Raises OSError."""
    if model.name == SAVED_MODEL:
        return [model, *_below(model.parent / "variables"), *_below(model.parent / "assets")]
    if model.suffix == ".onnx":
        stat = model.stat()
        named = external_files(model, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        return [model, *sorted(named)[:_MAX_PARTS]]
    weights = _WEIGHTS.get(model.suffix)
    return [model] if weights is None else [model, model.with_suffix(weights)]


def _below(directory: Path) -> list[Path]:
    """All files in a directory, if there is one, and in those below it."""
    places = os.walk(directory, onerror=_unless_absent)
    files = (Path(place, name) for place, _, names in places for name in names if not is_hidden(name))
    return list(islice(files, _MAX_PARTS))


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error

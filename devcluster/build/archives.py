"""Image archives in the form that kind's `build node-image --type file` reads."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path


def full_name(saved: str, wanted: Iterable[str]) -> str:
    """The name that kind looks for: `docker save` omits the host of its default registry."""
    for name in wanted:
        if name == saved or name.partition("/")[2] == saved:
            return name
    return saved


def rewrite_for_kind(source: Path, target: Path, wanted: list[str]) -> None:
    """Copy a `docker save` archive so that kind sees every image in it.

    kind takes the names from `repositories` or `manifest.json`, whichever comes first, and from
    `manifest.json` only those of the first image; so `repositories` is moved to the front.
    """
    with tarfile.open(source) as reader, tarfile.open(target, "w") as writer:
        for member in sorted(reader.getmembers(), key=lambda member: member.name != "repositories"):
            content = reader.extractfile(member) if member.isfile() else None
            if content and member.name in ("repositories", "manifest.json"):
                renamed = json.dumps(_renamed(json.load(content), wanted)).encode()
                member.size = len(renamed)
                content = io.BytesIO(renamed)
            writer.addfile(member, content)


def _renamed(index: object, wanted: list[str]) -> object:
    if isinstance(index, dict):  # repositories: {name: {tag: layer}}
        repositories = [name.rpartition(":")[0] for name in wanted]
        return {full_name(name, repositories): tags for name, tags in index.items()}
    if isinstance(index, list):  # manifest.json: [{RepoTags: [name:tag], …}]
        return [
            {**entry, "RepoTags": [full_name(name, wanted) for name in entry["RepoTags"] or []]}
            for entry in index
        ]
    raise TypeError(f"an image index is a map or a list, not {type(index).__name__}")


def pack_release(version: str, files: dict[str, Path], target: Path) -> None:
    """A Kubernetes release as kind expects it: a gzip file, not compressed because it is read only once."""
    with tarfile.open(target, "w:gz", compresslevel=0) as writer:
        text = version.encode()
        member = tarfile.TarInfo("kubernetes/version")
        member.size = len(text)
        writer.addfile(member, io.BytesIO(text))
        for name, file in sorted(files.items()):
            member = writer.gettarinfo(str(file), f"kubernetes/server/bin/{name}")
            # The files are hard links in the build directory; tar would store them as links.
            member.type, member.linkname, member.size = tarfile.REGTYPE, "", file.stat().st_size
            with file.open("rb") as content:
                writer.addfile(member, content)

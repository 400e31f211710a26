"""Archives in the forms that kind reads."""

import io
import json
import os
import tarfile

from devcluster.build import archives

WANTED = ["registry.example/kindest/kindnetd:v1", "other.example/pause:3"]


def add(writer: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    writer.addfile(member, io.BytesIO(content))


def test_kind_finds_every_image_of_an_archive_under_its_whole_name(tmp_path):
    source, target = tmp_path / "saved.tar", tmp_path / "rewritten.tar"
    manifest = [
        {"Config": "a", "RepoTags": ["kindest/kindnetd:v1"]},
        {"Config": "b", "RepoTags": [WANTED[1]]},
    ]
    with tarfile.open(source, "w") as writer:
        add(writer, "layer", b"content")
        add(writer, "manifest.json", json.dumps(manifest).encode())
        add(writer, "repositories", json.dumps({"kindest/kindnetd": {"v1": "x"}}).encode())
    archives.rewrite_for_kind(source, target, WANTED)
    with tarfile.open(target) as reader:
        assert reader.getnames()[0] == "repositories"
        assert list(json.load(reader.extractfile("repositories"))) == ["registry.example/kindest/kindnetd"]
        tags = [entry["RepoTags"] for entry in json.load(reader.extractfile("manifest.json"))]
        assert tags == [[name] for name in WANTED]
        assert reader.extractfile("layer").read() == b"content"


def test_a_release_holds_files_not_links(tmp_path):
    program = tmp_path / "kubelet"
    program.write_bytes(b"program")
    os.link(program, tmp_path / "other")
    target = tmp_path / "release.tar.gz"
    files = {"kubelet": program, "kubectl": tmp_path / "other"}
    archives.pack_release("v1.2.3", files, target)
    with tarfile.open(target, "r:gz") as reader:
        assert reader.extractfile("kubernetes/version").read() == b"v1.2.3"
        assert reader.extractfile("kubernetes/server/bin/kubectl").read() == b"program"
        assert all(member.isreg() for member in reader.getmembers())

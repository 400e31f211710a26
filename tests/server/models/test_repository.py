"""Versions on disk and the policies that choose among them."""

import shutil
from threading import Event, Thread

import pytest

from modelserver.errors import ConfigError, LoadFailed
from modelserver.models.repository import LocalStorage
from modelserver.settings.policy import parse_policy

AVAILABLE = [3, 4, 5, 18, 25, 100]


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        (None, {100}),
        ({"latest": {}}, {100}),
        ({"latest": {"num_versions": None}}, {100}),
        ({"latest": {"num_versions": 2}}, {100, 25}),
        ({"latest": {"num_versions": 10}}, set(AVAILABLE)),
        ({"specific": {"versions": [4, 25]}}, {4, 25}),
        ({"specific": {"versions": [1, 8, 28]}}, set()),
        ({"specific": {"versions": [4, 5, 6, 7]}}, {4, 5}),
        ({"specific": {"versions": [2**63 - 1, 4]}}, {4}),
        ({"all": {}}, set(AVAILABLE)),
    ],
)
def test_a_policy_selects_what_ovms_selects(raw, want):
    assert parse_policy(raw).select(AVAILABLE) == want


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"latest": {"num_versions": 0}}, "wrong format"),
        ({"latest": 1}, "wrong format"),
        ({"latest": []}, "wrong format"),
        ({"latest": {"versions": 1}}, "wrong format"),
        ({"latest": {"num_versions": True}}, "wrong format"),
        ({"specific": {"versions": [True]}}, "wrong format"),
        ({"specific": {"versions": []}}, "wrong format"),
        ({"specific": {"versions": [0]}}, "wrong format"),
        ({"specific": {"versions": [1, 2**63]}}, "a version is at most 9223372036854775807"),
        ({"specific": {"versions": [1e30]}}, "a version is at most 9223372036854775807"),
        ({"latest": {"num_versions": 2**63}}, "wrong format"),
        ({"latest": {"num_versions": 1}, "all": {}}, "wrong format"),
        ({"newest": {}}, "unsupported key"),
        ("all", "wrong format"),
    ],
)
def test_a_wrong_policy_is_refused(raw, message):
    with pytest.raises(ConfigError, match=message):
        parse_policy(raw)


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_only_positive_numbers_with_a_model_inside_are_versions(tmp_path):
    write(tmp_path / "1" / "model.xml")
    write(tmp_path / "12" / "model.onnx")
    write(tmp_path / "0" / "model.xml")
    write(tmp_path / "-1" / "model.xml")
    write(tmp_path / "v2" / "model.xml")
    write(tmp_path / "7" / "README")
    (tmp_path / "9").mkdir()
    write(tmp_path / "5")
    assert set(LocalStorage().scan(str(tmp_path))) == {1, 12}


def test_what_is_ignored_is_logged_in_ovms_words_once_per_change(tmp_path, caplog):
    write(tmp_path / "1" / "model.xml")
    for name in ("0", "-1", "v2", "..data", ".hidden"):
        (tmp_path / name).mkdir()
    write(tmp_path / "7" / "README")
    write(tmp_path / "notes.txt")
    storage = LocalStorage()

    def told():
        caplog.clear()
        storage.scan(str(tmp_path))
        return [record.getMessage().removesuffix(f" (in {tmp_path})") for record in caplog.records]

    assert told() == [
        "Expected version directory name to be a number greater than 0. Got: -1",
        "Expected version directory name to be a number greater than 0. Got: 0",
        "Expected version directory but found a file. Got: notes.txt",
        "Expected version directory name to be in number format. Got: v2",
        f"No model file found in version directory: {tmp_path / '7'}",
    ]
    assert told() == []
    (tmp_path / "v3").mkdir()
    assert told() == ["Expected version directory name to be in number format. Got: v3"]


def test_a_version_is_any_positive_number_of_64_bits(tmp_path, caplog):
    numbers = (5, 1_750_000_000_123_456_789, 2**63 - 1)
    for number in (*numbers, 2**63, 10**30):
        write(tmp_path / str(number) / "model.xml")
    assert set(LocalStorage().scan(str(tmp_path))) == set(numbers)
    assert [record.getMessage().partition(" (in")[0] for record in caplog.records] == [
        f"Expected version directory name to be a number up to {2**63 - 1}. Got: {number}"
        for number in (10**30, 2**63)
    ]


def test_of_two_directories_for_one_number_the_shorter_name_counts(tmp_path, caplog):
    for name in ("007", "7", "000000000000000000000000000008"):
        write(tmp_path / name / "model.xml")
    found = LocalStorage().scan(str(tmp_path))
    assert {number: files.model.parent.name for number, files in found.items()} == {
        7: "7",
        8: "000000000000000000000000000008",
    }
    assert "Version directory 007 is ignored: another one has the same number" in caplog.text


CHOICES = {
    "the one named model": (["a_notes.xml", "model.xml"], "model.xml", "a_notes.xml"),
    "not a hidden one": (
        ["._model.xml", ".model.backup.xml", ".model.xml.Xa81z", "model.xml"],
        "model.xml",
        None,
    ),
    "of one kind the one with weights": (["a.xml", "b.xml", "b.bin"], "b.xml", "a.xml"),
    "otherwise the first by name": (["b.onnx", "a.onnx"], "a.onnx", "b.onnx"),
    "by format first": (["model.onnx", "other.xml"], "other.xml", "model.onnx"),
    "what exporters call the model": (
        ["openvino_detokenizer.xml", "openvino_model.xml", "openvino_tokenizer.xml"],
        "openvino_model.xml",
        "openvino_detokenizer.xml, openvino_tokenizer.xml",
    ),
    "the SavedModel, whose other files are no models": (
        ["fingerprint.pb", "keras_metadata.pb", "saved_model.pb"],
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", CHOICES)
def test_of_several_model_files_one_is_chosen_by_rule_and_told_once(tmp_path, caplog, case):
    names, chosen, others = CHOICES[case]
    directory = tmp_path / "1"
    for name in names:
        write(directory / name)
    for base in (tmp_path, directory):
        caplog.clear()
        storage = LocalStorage()
        for _ in range(3):
            (version,) = storage.scan(str(base)).values()
        assert version.model == (directory / chosen if chosen else directory)
        told = [record.getMessage().partition(" (in")[0] for record in caplog.records]
        note = f"Several model files in {directory}: {chosen} is used, not {others}"
        assert told == ([note] if others else [])


@pytest.mark.parametrize("name", ["._model.xml", "README.md", "notes/b.bin", ".DS_Store", ".w.bin.a8Xz"])
def test_what_the_model_is_not_read_from_is_no_change_of_the_version(tmp_path, name):
    write(tmp_path / "1" / "model.xml")
    write(tmp_path / "1" / "model.bin")
    before = LocalStorage().scan(str(tmp_path))
    write(tmp_path / "1" / name)
    assert LocalStorage().scan(str(tmp_path)) == before
    assert before[1].size == 2


def test_variables_and_assets_count_at_any_depth_and_hidden_files_do_not(tmp_path):
    write(tmp_path / "1" / "saved_model.pb")
    for name in ("variables/variables.index", "assets/words/all.txt", "assets/.DS_Store", "assets.extra/x"):
        write(tmp_path / "1" / name)
    found = LocalStorage().scan(str(tmp_path))[1]
    assert [name.removeprefix(f"{tmp_path}/1/") for name, *_ in found.fingerprint] == [
        "assets/words/all.txt", "saved_model.pb", "variables/variables.index",
    ]  # fmt: skip


def test_directories_beside_an_unversioned_model_are_not_mistaken_for_versions(tmp_path, caplog):
    write(tmp_path / "saved_model.pb")
    write(tmp_path / "variables" / "variables.index")
    write(tmp_path / "assets" / "words.txt")
    found = LocalStorage().scan(str(tmp_path))
    assert (set(found), len(found[1].fingerprint), caplog.records) == ({1}, 3, [])


def test_a_single_file_or_an_unversioned_directory_is_version_one(tmp_path):
    write(tmp_path / "model.xml")
    write(tmp_path / "model.bin")
    for path in (tmp_path, tmp_path / "model.xml"):
        found = LocalStorage().scan(str(path))
        assert set(found) == {1}
        assert found[1].model == tmp_path / "model.xml"
        assert len(found[1].fingerprint) == 2


def test_a_saved_model_is_its_directory(tmp_path):
    write(tmp_path / "1" / "saved_model.pb")
    write(tmp_path / "1" / "variables" / "variables.index")
    found = LocalStorage().scan(str(tmp_path))[1]
    assert found.model == tmp_path / "1"
    assert len(found.fingerprint) == 2


def test_a_fingerprint_changes_with_the_content_and_only_then(tmp_path):
    write(tmp_path / "1" / "model.xml")
    first = LocalStorage().scan(str(tmp_path))
    assert LocalStorage().scan(str(tmp_path)) == first
    write(tmp_path / "1" / "model.xml", "longer")
    assert LocalStorage().scan(str(tmp_path)) != first


def test_an_empty_directory_has_no_versions_and_a_missing_one_is_an_error(tmp_path):
    assert LocalStorage().scan(str(tmp_path)) == {}
    for missing in ("missing", "a\0b", "x" * 300):
        with pytest.raises(LoadFailed, match="cannot be read"):
            LocalStorage().scan(str(tmp_path / missing))


def test_files_that_vanish_while_they_are_looked_at_are_no_fault_of_the_other_versions(tmp_path):
    for name in ("model.onnx", "saved_model.pb", "variables/variables.index"):
        write(tmp_path / "2" / name)
    write(tmp_path / "1" / "model.xml")
    write(tmp_path / "next" / "model.onnx")
    end = Event()

    def exchange():
        while not end.is_set():
            shutil.rmtree(tmp_path / "2")
            shutil.copytree(tmp_path / "next", tmp_path / "2")

    writer = Thread(target=exchange)
    writer.start()
    try:
        found = [LocalStorage().scan(str(tmp_path)) for _ in range(2000)]
    finally:
        end.set()
        writer.join()
    assert {one[1] for one in found} == {found[0][1]}
    assert found[0][1].fault is None

"""What the store makes of events that come late, twice, for a label that left, or for a name used again."""

import time

from modelserver_operator import naming
from modelserver_operator.observed.store import Listed, Store

KEY = ("default", "server")


def child(uid: str = "u1", version: int = 5, name: str = "server", owner: str = "server") -> dict:
    reference = {"kind": "ModelServer", "name": owner, "uid": "owner", "controller": True}
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "ownerReferences": [reference] if owner else [],
        }
    }


def versions(store: Store) -> dict[tuple[str, str], tuple[str, str]]:
    return {name: (child.uid, child.resource_version) for name, child in store.snapshot(KEY).children.items()}


def test_a_child_whose_label_left_the_selector_and_came_back_is_known_again():
    store = Store()
    store.put("Deployment", child(version=5))

    assert store.drop("Deployment", child(version=6)) == KEY
    assert versions(store) == {}
    assert store.put("Deployment", child(version=7)) == KEY

    assert versions(store) == {("Deployment", "server"): ("u1", "7")}


def test_a_late_event_of_a_deleted_object_does_not_bring_it_back():
    store = Store()
    store.put("Deployment", child(version=5))
    store.drop("Deployment", child(version=7))

    assert store.put("Deployment", child(version=6)) is None

    assert versions(store) == {}


def test_a_deletion_that_is_older_than_what_is_known_changes_nothing():
    store = Store()
    store.put("Deployment", child(version=8))

    assert store.drop("Deployment", child(version=7)) is None

    assert versions(store) == {("Deployment", "server"): ("u1", "8")}


def test_a_late_event_of_a_predecessor_does_not_replace_its_successor():
    store = Store()
    store.put("Deployment", child("new", version=9))

    assert store.put("Deployment", child("old", version=8)) is None

    assert versions(store) == {("Deployment", "server"): ("new", "9")}


def test_a_successor_replaces_an_object_whose_deletion_was_never_reported():
    store = Store()
    store.put("Deployment", child("old", version=8))

    assert store.put("Deployment", child("new", version=9)) == KEY
    assert store.drop("Deployment", child("old", version=9)) is None

    assert versions(store) == {("Deployment", "server"): ("new", "9")}
    assert store.missing("Deployment", None, Listed({"new"}, 10)) == []


def test_a_child_that_another_controller_took_over_is_not_ours_any_more():
    store = Store()
    store.put("Deployment", child(version=8))

    assert store.put("Deployment", child(version=9, owner="")) == KEY

    assert versions(store) == {}


def test_what_a_list_lacks_is_forgotten_unless_it_is_newer_than_the_list():
    store = Store()
    for uid, version in (("u1", 5), ("u2", 6), ("u3", 9)):
        store.put("Deployment", child(uid, version, name=uid))

    gone = store.missing("Deployment", "default", Listed({"u1"}, version=8))

    assert [entry.uid for entry in gone] == ["u2"]
    assert store.missing("Deployment", "another", Listed(set(), version=8)) == []
    assert store.newest("Deployment") == 9


def test_a_deletion_costs_the_same_however_much_is_known():
    """D14: a list of everything was built for each deletion, 42 ms at 5000 objects."""
    few, many = Store(), Store()
    for store, count in ((few, 50), (many, 5000)):
        for number in range(count):
            for kind in ("Deployment", "Service", "ConfigMap", "ServiceAccount"):
                owner = f"server-{number}"
                store.put(kind, child(f"{kind}-{number}", number + 1, name=owner, owner=owner))

    assert _seconds_to_drop(many, 50) < 10 * _seconds_to_drop(few, 50) + 0.01


def _seconds_to_drop(store: Store, count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        assert store.drop("Deployment", child(f"Deployment-{number}", 10_000)) is not None
    return time.perf_counter() - started


def test_a_namespace_is_known_once_every_kind_was_listed_there_or_everywhere():
    store, *_, last = Store(), *naming.KINDS
    for kind in naming.KINDS:
        assert not store.is_complete("a")
        assert store.note_listed(kind, "a") == (kind == last)
    assert store.is_complete("a")
    assert not store.is_complete("b")
    assert not store.note_listed(last, "a"), "that is no news"

    for kind in naming.KINDS:
        store.note_listed(kind, None)
    assert store.is_complete("b")


def test_kinds_that_not_every_cluster_has_make_no_namespace_known_or_unknown():
    store = Store()
    for kind in naming.OPTIONAL:
        assert not store.note_listed(kind, None)
    assert not store.is_complete("a")

    for kind in naming.KINDS:
        store.note_listed(kind, None)
    assert store.is_complete("a")
    for kind in naming.OPTIONAL:
        assert not store.note_listed(kind, None)
    assert store.is_complete("a")

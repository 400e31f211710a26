"""Which pod template and which config.json an object gets: the table of changes/templates.py, row by row."""

import json
from dataclasses import replace
from typing import Any

import pytest

from modelserver_operator import naming
from modelserver_operator.changes.templates import History, Stored, choose, history, new_stored, revisions
from modelserver_operator.desired import Images, as_child
from modelserver_operator.desired.config import configuration
from modelserver_operator.desired.kept import rendered
from modelserver_operator.desired.revision import revision
from modelserver_operator.observed.child import Child, read_child
from tests.support.one_field import FIELDS, server

THIS, NEXT = Images("cpu:1", "gpu:1", "npu:1"), Images("cpu:2", "gpu:2", "npu:2")


def stored(images: Images = THIS, *, number: int = 1, good: bool = False, **fields: Any) -> Stored:
    """What an operator with these images has kept of this object."""
    mine = server(**fields)
    return replace(new_stored(mine, rendered(mine, images)), number=number, is_good=good)


@pytest.mark.parametrize("field", FIELDS)
def test_another_operator_changes_nothing_of_what_is_kept(field: str):
    past = History(current=stored(THIS, **FIELDS[field]))

    choice = choose(server(**FIELDS[field]), NEXT, past)

    assert choice.kept == past.current.kept
    assert choice.is_upgrade_available() is ("image" not in FIELDS[field])


def test_a_hot_change_never_changes_the_image():
    past = History(current=stored(THIS))

    choice = choose(server(hint="LATENCY", device="AUTO:CPU"), NEXT, past)

    assert choice.kept.template == past.current.kept.template
    assert choice.kept.config == configuration(server(hint="LATENCY", device="AUTO:CPU").spec)


def test_a_change_of_an_input_gives_a_new_template_and_leaves_the_configuration():
    past = History(current=stored(THIS))
    known = replace(past.current, kept=replace(past.current.kept, config=configuration(server(nireq=7).spec)))

    choice = choose(server(workers=1, image="mine"), NEXT, History(current=known))

    assert choice.kept.image == "mine"
    assert choice.kept.config == known.kept.config


def test_an_upgrade_gives_both_once():
    past = History(current=stored(THIS))

    upgraded = choose(server(upgrade="1"), NEXT, past).kept
    assert (upgraded.image, upgraded.upgrade) == ("cpu:2", "1")

    again = History(current=replace(past.current, kept=upgraded))
    for upgrade in ("1", ""):
        assert choose(server(upgrade=upgrade), THIS, again).kept == upgraded


def test_a_change_taken_back_leads_to_the_last_good_one_again():
    good, broken = stored(THIS, good=True), stored(THIS, number=2, image="broken")

    past = History(current=broken, good=good)
    choice = choose(server(), NEXT, past)

    assert choice.kept == good.kept
    (wanted,) = revisions(server(), choice.kept, past)
    assert (wanted.name, wanted.manifest["revision"]) == (good.name, 3)
    assert {naming.CURRENT_LABEL, naming.LAST_GOOD_LABEL} <= wanted.manifest["metadata"]["labels"].keys()


def test_no_change_taken_back_undoes_an_upgrade():
    good, upgraded = stored(THIS, good=True), stored(NEXT, number=2, upgrade="1", image="broken")

    for upgrade in ("1", ""):
        choice = choose(server(upgrade=upgrade), NEXT, History(current=upgraded, good=good))
        assert choice.kept.image == "cpu:2"


OLD_SERVER = "old"


def strict(**fields: Any) -> Stored:
    """What was taken over from an operator that did not keep templates."""
    found = stored(THIS, **{"image": OLD_SERVER, **fields})
    config = configuration(server(**fields).spec, is_strict=True)
    return replace(found, kept=replace(found.kept, config=config, strict_image=OLD_SERVER))


def test_a_server_that_refuses_the_key_is_never_given_it():
    past = History(current=strict())

    hot = choose(server(image=OLD_SERVER, hint="LATENCY"), NEXT, past).kept
    assert (hot.image, hot.config.is_strict) == (OLD_SERVER, True)

    rolling = choose(server(image="new", hint="LATENCY"), NEXT, past).kept
    assert rolling.config.is_strict, "pods of the old image still run"

    new = replace(past.current, kept=replace(rolling, template=rolling.template), is_good=True)
    later = choose(server(image="new", nireq=3), NEXT, History(current=new, good=new)).kept
    assert not later.config.is_strict

    newer = replace(new, kept=later)
    back = choose(server(image=OLD_SERVER, nireq=3), NEXT, History(current=newer, good=newer)).kept
    assert (back.image, back.config.is_strict) == (OLD_SERVER, True)


def test_an_upgrade_is_not_offered_for_the_key_alone():
    past = History(current=strict())

    assert not choose(server(image=OLD_SERVER), NEXT, past).is_upgrade_available()


def as_stored(item: Stored, *labels: str, owner: str = "owner", **data: Any) -> Child:
    manifest = revision({**item.data, **data}, item.name, item.number, labels)
    body = as_child(replace(server(), uid=owner), manifest).manifest
    body["metadata"] |= {"uid": f"uid-{item.name}", "resourceVersion": "1"}
    if not owner:
        del body["metadata"]["ownerReferences"]
    return read_child(naming.CONTROLLER_REVISION, body)


def observed(*children: Child) -> dict[tuple[str, str], Child]:
    return {(child.kind, child.name): child for child in children}


def test_the_current_one_has_the_highest_number_and_the_good_one_its_label():
    first, second, third = (stored(number=n, image=f"v{n}") for n in (1, 2, 3))

    past = history(
        observed(
            as_stored(third),
            as_stored(first, naming.LAST_GOOD_LABEL),
            as_stored(second, naming.LAST_GOOD_LABEL),
        ),
        "owner",
    )

    assert past.current.kept == third.kept
    assert past.good.kept == second.kept, "of two, after a crash between two writes, the newer"


def test_what_a_later_operator_put_there_stays_as_it_is():
    """The data of a ControllerRevision cannot change: to write it otherwise is refused forever."""
    child = as_stored(stored(), naming.CURRENT_LABEL, invented={"a": 1.0})
    past = history(observed(child), "owner")

    (wanted,) = revisions(server(), choose(server(), NEXT, past).kept, past)

    assert wanted.manifest["data"]["invented"] == {"a": 1.0}
    assert (wanted.name, wanted.hash) == (child.name, child.desired_hash)


def with_template(template: Any) -> dict[str, Any]:
    return {"template": template, "config": '{"revision": "1"}', "inputs": {"template": {}, "config": {}}}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"template": {}, "config": "{}", "inputs": {}},
        *map(with_template, ([], "x", {"spec": []}, {"spec": {"containers": ["x"]}})),
    ],
)
def test_what_is_no_template_is_not_one(data: Any):
    child = as_stored(stored())
    child = replace(child, revision=replace(child.revision, data=json.dumps(data)))

    assert history(observed(child), "owner") == History()


def test_a_successor_takes_over_what_was_left_behind_but_not_what_belongs_to_others():
    left, others = as_stored(stored(), owner=""), as_stored(stored(), owner="other")

    assert history(observed(left), "owner").current.kept == stored().kept
    assert history(observed(others), "owner") == History()


def test_only_the_current_and_the_last_good_one_are_wanted():
    first, second = stored(good=True, image="v1"), stored(number=2, image="v2")
    past = History(current=second, good=first)

    wanted = revisions(server(image="v3"), rendered(server(image="v3"), THIS), past)
    assert [(item.manifest["revision"], item.name == first.name) for item in wanted] == [
        (3, False),
        (1, True),
    ]

    (now,) = revisions(server(image="v2"), second.kept, past, is_good=True)
    assert (now.name, now.manifest["revision"]) == (second.name, 2)


def test_while_an_object_is_paused_nothing_is_noted():
    past = History(current=stored(good=True))
    paused = server(paused=True, image="v2")

    (wanted,) = revisions(paused, choose(paused, NEXT, past).kept, past)

    assert wanted.manifest["data"] == past.current.data


def test_revisions_of_two_objects_of_one_name_have_different_names():
    kept = rendered(server(), THIS)

    assert new_stored(server(), kept).name != new_stored(replace(server(), uid="successor"), kept).name

"""Which pod template and which config.json an object gets: those that are kept, or new ones. Pure.

| the inputs are                    | and the annotation asks for | then                                   |
|-----------------------------------|-----------------------------|----------------------------------------|
| those of the current one          | nothing new                 | the current one                        |
| those of the last good one        | nothing new                 | the last good one: a change taken back |
| others                            | nothing new                 | a new one                              |
| any                               | an upgrade                  | a new one                              |

The pod template and config.json are decided each on its own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from modelserver_operator import naming
from modelserver_operator.api import ModelServer, Spec
from modelserver_operator.changes.plan import Observed, covers
from modelserver_operator.desired import Desired, Images, as_child
from modelserver_operator.desired.accelerators import (
    UNKNOWN,
    Allotment,
    Found,
    allot,
    decisive,
    families,
    missing,
)
from modelserver_operator.desired.config import configuration
from modelserver_operator.desired.inputs import same_config, same_template
from modelserver_operator.desired.kept import Kept, read_kept, rendered, with_groups
from modelserver_operator.desired.revision import revision, revision_name
from modelserver_operator.observed.child import Child


@dataclass(frozen=True)
class Stored:
    """A ControllerRevision as it is."""

    name: str
    number: int
    is_good: bool
    kept: Kept
    data: Mapping[str, Any]
    """As it is stored: that never changes, and a later operator may have put more into it."""


@dataclass(frozen=True)
class History:
    """What is kept of an object."""

    current: Stored | None = None
    good: Stored | None = None
    """The last one that was Ready with all its replicas; may be the current one."""
    strict_image: str = ""
    """The image of what runs although nothing is kept, if its server refuses keys it does not know."""
    unread: str = ""
    """Why what runs could not be read although nothing is kept: until it can be, nothing is written."""
    is_stored: bool = True
    """False for what runs although nothing is kept: it is taken over, but not stored yet."""

    def stored(self) -> list[Stored]:
        """Each once, the current one first."""
        found = [item for item in (self.current, self.good) if item is not None]
        return found[:1] if len(found) == 2 and found[0].name == found[1].name else found


@dataclass(frozen=True)
class Choice:
    """What the object gets."""

    kept: Kept
    upgrade: Kept
    """What it would get if it asked for an upgrade."""
    unadvertised: tuple[str, ...] = ()
    """Resources for GPUs and NPUs that it needs and no node advertises."""

    def upgrade_replaces_pods(self) -> bool:
        """Whether an upgrade makes another pod template."""
        return not _same(self.kept.template, self.upgrade.template)

    def upgrade_changes_config(self) -> bool:
        """Whether an upgrade makes another config.json."""
        one, other = self.kept.config, self.upgrade.config
        return one != other and one.content() != other.content()

    def is_upgrade_available(self) -> bool:
        """Whether an upgrade changes anything."""
        return self.upgrade_replaces_pods() or self.upgrade_changes_config()


def history(children: Observed, owner_uid: str) -> History:
    """Read what is kept; where nothing is, what a deleted predecessor left behind with its children."""
    revisions = [child for child in children.values() if child.revision is not None]
    own = [child for child in revisions if child.owner_uid == owner_uid]
    stored = _stored(own or (child for child in revisions if child.is_orphan()))
    return History(
        current=stored[0] if stored else None, good=next((item for item in stored if item.is_good), None)
    )


def _stored(revisions: Iterable[Child]) -> list[Stored]:
    """The newest first; whatever somebody else may have put there is no template."""
    found = []
    for child in revisions:
        entry = child.revision
        if entry is not None and (kept := read_kept(entry.data)) is not None:
            found.append(Stored(child.name, entry.number, entry.is_last_good, kept, json.loads(entry.data)))
    return sorted(found, key=lambda item: (item.number, item.name), reverse=True)


def choose(server: ModelServer, images: Images, past: History, found: Found = UNKNOWN) -> Choice:
    """The table above; Invalid: a new config.json would be too large.

    `found`: what the cluster decides about GPUs and NPUs. What was chosen before for the same demands stays,
    learned groups are added, and where no node advertises what is demanded, what serves stays as it is.
    """
    allotment = _allotment(server.spec, past, found)
    fresh, absent = rendered(server, images, allotment), missing(allotment, found.advertised)
    if not allotment.is_chosen and past.good and past.current and not _is_for(past.current.kept, server.spec):
        return Choice(past.current.kept, past.current.kept, absent)
    before = past.current.kept if past.current else fresh
    strict_image = before.strict_image or past.strict_image
    asked = server.upgrade or before.upgrade
    usable = [item.kept for item in past.stored() if item.kept.upgrade == asked]
    template = next((kept for kept in usable if _serves(kept, server.spec, allotment)), fresh)
    template = with_groups(template, allotment.groups)
    config = next((kept for kept in usable if same_config(kept.config_inputs, server.spec)), fresh)
    chosen = replace(
        template,
        config=config.config,
        config_inputs=config.config_inputs,
        upgrade=asked,
        strict_image=strict_image,
    )
    upgrade = replace(fresh, strict_image=strict_image)
    return Choice(_readable(chosen, server, past), _readable(upgrade, server, past), absent)


def _allotment(spec: Spec, past: History, found: Found) -> Allotment:
    if not families(spec):
        return allot(spec, found)  # nothing is chosen, so what is kept need not be read for it
    kept = [item.kept for item in past.stored() if _is_for(item.kept, spec)]
    before = next((item.resources for item in kept if item.resources), None)
    groups = {*found.groups, *(group for item in kept for group in item.groups)}
    return allot(spec, replace(found, groups=tuple(sorted(groups))), before=before)


def _is_for(kept: Kept, spec: Spec) -> bool:
    """Whether it was made for the same GPUs and NPUs."""
    try:
        return decisive(Spec.model_validate(kept.template_inputs)) == decisive(spec)
    except ValidationError:
        return False  # the grammar has changed since


def _serves(kept: Kept, spec: Spec, allotment: Allotment) -> bool:
    """Whether it needs no change, and has the resources if they are known by now."""
    return not (kept.awaits_resources and allotment.is_chosen) and same_template(kept.template_inputs, spec)


def _readable(kept: Kept, server: ModelServer, past: History) -> Kept:
    """A server from before the key unknownKeys gets a config.json without it, until no such pod is left."""
    if not kept.strict_image or kept.config.is_strict:
        return kept
    running = {kept.image, past.good.kept.image if past.good else kept.strict_image}
    if kept.strict_image not in running:
        return kept
    return replace(kept, config=configuration(server.spec, is_strict=True))


def revisions(server: ModelServer, kept: Kept, past: History, *, is_good: bool = False) -> list[Desired]:
    """The ControllerRevisions to keep: the current one, and the last good one if that is another.

    `is_good`: the current one is the last good one from now on. While the object is paused nothing changes.
    """
    if server.spec.paused and not past.is_stored:
        return []  # to store it is no change that waits: the status would say so, and then it would not be so
    if server.spec.paused:
        return [_revision(server, item, is_current=item is past.current) for item in past.stored()]
    current = next((item for item in past.stored() if item.kept == kept), None) or new_stored(server, kept)
    number = _number(current, past)
    current = replace(current, number=number, is_good=is_good or current.is_good)
    wanted = [_revision(server, current, is_current=True)]
    if past.good and past.good.name != current.name and not current.is_good:
        wanted.append(_revision(server, past.good, is_current=False))
    return wanted


def new_stored(server: ModelServer, kept: Kept) -> Stored:
    """What is not stored yet; the first of its object."""
    return Stored(revision_name(server, kept), 1, is_good=False, kept=kept, data=kept.data())


def _number(wanted: Stored, past: History) -> int:
    """The current one has the highest: one that is taken back to gets a new number."""
    if past.current is None or past.current.name == wanted.name:
        return wanted.number
    return past.current.number + 1


def _revision(server: ModelServer, item: Stored, *, is_current: bool) -> Desired:
    roles = {naming.CURRENT_LABEL: is_current, naming.LAST_GOOD_LABEL: item.is_good}
    labels = tuple(label for label, holds in roles.items() if holds)
    return as_child(server, revision(item.data, item.name, item.number, labels))


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """The API server writes some values in its own way."""
    return one == other or (covers(one, other) and covers(other, one))

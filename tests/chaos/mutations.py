"""Faults that somebody might put into the operator, and the cases that must not let them pass."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.operator_process import ROOT

PACKAGE = "modelserver_operator"


@dataclass(frozen=True)
class Mutation:
    file: str
    old: str
    """Stands in the file once."""
    new: str
    cases: tuple[str, ...]
    """At least one of them fails."""
    second_guard: tuple[str, str] = ("", "")
    """What stands in the same file against the same fault, and becomes this."""

    def text(self, root: Path = ROOT / "operator" / PACKAGE) -> str:
        """The file with the fault in it."""
        text = (root / self.file).read_text()
        for old, new in filter(any, ((self.old, self.new), self.second_guard)):
            assert text.count(old) == 1, f"{self.file} does not have this once: {old}"
            text = text.replace(old, new)
        return text

    def plant(self, directory: Path) -> Path:
        """A copy of the operator with the fault in it; the directory for PYTHONPATH."""
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "operator" / PACKAGE, directory / PACKAGE, ignore=ignored)
        (directory / PACKAGE / self.file).write_text(self.text())
        return directory


MUTATIONS = {
    "a refused child silences the status": Mutation(
        "reconcile.py",
        "self._contest).apply(wanted)\n        if not server",
        "self._contest).apply(wanted)\n        if outcome.refused:\n"
        "            raise ApiError(403, outcome.refused[0])\n        if not server",
        ("create: configmaps 403 for ever",),
    ),
    "what is gone may come back": Mutation(
        "observed/store.py",
        "newest = self._gone.get(entry.uid, 0) if before is None else before.version",
        "newest = 0 if before is None else before.version",
        ("scale and delete: events repeated late",),
    ),
    "an older state replaces a newer one": Mutation(
        "observed/store.py",
        "        if entry.version <= newest:\n",
        "        if before is None and entry.version <= newest:\n",
        ("edit twice: events repeated late",),
        (
            'int(metadata["resourceVersion"]) <= known.version',
            'int(metadata["resourceVersion"]) == known.version',
        ),
    ),
    "after a conflict nobody looks again": Mutation(
        "changes/apply.py",
        "            found = await self._look_again(change)\n",
        "            found = change.observed\n",
        ("lose: get 429",),
    ),
    "a Lease of any age will do": Mutation(
        "clients/lease.py",
        "return renewed is not None and clock() - renewed < self.terms.deadline",
        "return renewed is not None",
        ("scale: lease 500",),
    ),
    "nobody is woken by a Lease that is back": Mutation(
        "controller/leadership.py",
        "            if back or writes != wrote:\n",
        '            if writes != wrote and not getattr(self, "woke", False):\n'
        "                self.woke = any(lease.may_write() for lease in self.leases)\n",
        ("scale: lease 500",),
    ),
    "drift stays": Mutation(
        "changes/plan.py",
        'return Change(desired, Why.DRIFTED, child, ", ".join(sorted(editors or ())))',
        "return None",
        ("drift: event 500",),
    ),
    "a template is used before it is kept": Mutation(
        "changes/apply.py",
        "kept = {naming.CONTROLLER_REVISION} if change.why is Why.CHANGED and kind in _KEPT_FIRST else set()",
        "kept = set()",
        ("edit: controllerrevisions 403 for ever",),
    ),
    "a Deployment is written without its ConfigMap": Mutation(
        "changes/apply.py",
        '_NEEDS = {"Deployment": frozenset({"ServiceAccount", "ConfigMap"})}',
        '_NEEDS = {"Deployment": frozenset()}',
        ("create: configmaps 403 for ever",),
    ),
    "a configuration is written for pods that cannot be had": Mutation(
        "changes/apply.py",
        "        await self._try_first(plan, writes)\n",
        "",
        ("edit: deployments 403 for ever",),
    ),
    "what is not wanted goes although a write failed": Mutation(
        "changes/apply.py",
        "        if not (writes.refused or writes.deferred):\n            await self._prune",
        "        if writes:\n            await self._prune",
        ("prune: deployments 403 for ever",),
    ),
    "a refused write is tried without a pause": Mutation(
        "observed/pace.py",
        "return min(60.0, 2.0 ** min(tries, 6))",
        "return 0.1",
        ("create: configmaps 403 for ever",),
    ),
    "a failed pass is tried without a pause": Mutation(
        "controller/workqueue.py",
        "pause = min(_BACK_OFF_LIMIT, self._back_off * 2.0 ** (failures - 1))",
        "pause = 0.1",
        ("create: modelservers/status 403 for ever",),
    ),
    "nothing is listed again": Mutation(
        "controller/relist.py",
        "            try:\n                await self.list(kind)\n",
        "            try:\n                pass\n",
        ("edit twice: events dropped",),
    ),
    "a list forgets nothing": Mutation(
        "controller/relist.py",
        "        for entry in self._store.missing(kind, namespace, listed):\n",
        "        for entry in self._store.missing(kind, namespace, Listed()):\n",
        ("remove: events dropped",),
    ),
    "a namespace that could not be listed counts as empty": Mutation(
        "controller/application.py",
        "            if not reconciler.store.is_complete(namespace):\n                return None\n",
        "",
        ("stay: another release while list 403",),
    ),
    "what was deleted is deleted again": Mutation(
        "changes/apply.py",
        "                self.store.forget(child.kind, child.uid, int(child.resource_version))\n",
        "                pass\n",
        ("edit twice: events late",),
    ),
    "it begins before it knows what is there": Mutation(
        "controller/application.py",
        "        await _list_all(relist)\n",
        "",
        ("create: killed after patch deployments 1",),
        ("            if not reconciler.store.is_complete(namespace):\n                return None\n", ""),
    ),
}

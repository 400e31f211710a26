"""Runs cases: those of one lane share an operator, each has a namespace of its own, and all run together."""

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from devcluster.host import system
from devcluster.kubectl import Kubernetes
from tests.chaos.container import IDENTITY, LEASE_SECONDS, Container
from tests.chaos.proxy import Proxy
from tests.chaos.steps import STEPS
from tests.chaos.traffic import Seen
from tests.chaos.world import Api, World
from tests.support.operator_process import install, is_operators_role, kubeconfig, template
from tests.support.waiting import until

QUIET_SECONDS = 2.0
WATCHED = (
    "modelservers", "serviceaccounts", "configmaps", "services", "deployments", "controllerrevisions", "pods",
    "poddisruptionbudgets", "horizontalpodautoscalers",
)  # fmt: skip
_STATUS = {"modelservers/status", "events"}


@dataclass(frozen=True)
class Baseline:
    """What a step leads to when nothing is disturbed."""

    state: Mapping[str, Any]
    writes: tuple[Seen, ...]

    def child_writes(self) -> int:
        return count_of_children(self.writes)


def count_of_children(writes: Iterable[Seen]) -> int:
    """Those of children; how often the status is written depends on how fast a Deployment reports."""
    return sum(item.asked.resource not in _STATUS for item in writes)


@dataclass
class Scene:
    """One case while it runs."""

    world: World
    proxy: Proxy
    container: Container
    step: str
    seconds: float
    """How long its end may take."""
    baselines: Mapping[str, "Future[Baseline]"]
    begun: float = 0.0
    clock: Path | None = None

    @property
    def namespace(self) -> str:
        return self.world.namespace

    def prepare(self) -> None:
        STEPS[self.step].prepare(self.world)
        if not STEPS[self.step].is_first:
            until("Applied", lambda: self.world.condition("Applied").get("status") == "True", timeout=60)
            until("the Deployment's figures", self.world.is_carried_out, timeout=60)
            self.await_quiet()

    def act(self) -> None:
        self.begun = time.monotonic()
        STEPS[self.step].act(self.world)

    def writes(self) -> list[Seen]:
        """Since the step."""
        return self.proxy.writes(self.namespace, self.begun)

    def await_quiet(self) -> None:
        def is_quiet() -> bool:
            if self.proxy.is_writing(self.namespace):
                return False
            last = max((item.end for item in self.proxy.writes(self.namespace)), default=0.0)
            return time.monotonic() - max(last, self.begun) > QUIET_SECONDS

        until("no more writes", is_quiet, timeout=self.seconds)

    def await_standstill(self) -> tuple[float, dict[str, Any]]:
        """Until Kubernetes has followed and nothing changes any more; the moment, and what there is then."""
        deadline, before = time.monotonic() + self.seconds, {"nothing": "seen yet"}
        while True:
            self.await_quiet()
            moment, is_done, state = self._look()
            if state == before and is_done:
                return moment, state
            assert time.monotonic() < deadline, f"no standstill: {json.dumps(state)}"
            before = state
            self._await_more(moment)

    def baseline(self) -> Baseline:
        return self.baselines[self.step].result(240)

    def await_end(self) -> float:
        """Until everything is as without the fault, and Kubernetes has followed; the moment."""
        wanted = self.baseline().state
        deadline = time.monotonic() + self.seconds
        while True:
            self.await_quiet()
            moment, is_done, state = self._look()
            if state == wanted and is_done:
                return moment
            assert time.monotonic() < deadline, f"another end:\n{difference(state, wanted)}"
            self._await_more(moment)

    def _look(self) -> tuple[float, bool, dict[str, Any]]:
        """The moment, whether everything has ended then, and what there is.

        In this order: what is read while Kubernetes follows, or the operator writes, is not the end.
        """
        moment, is_done, state = time.monotonic(), self.world.is_carried_out(), self.world.state()
        is_writing = self.proxy.is_writing(self.namespace) or self.proxy.writes(self.namespace, moment)
        return moment, is_done and not is_writing, state

    def _await_more(self, since: float) -> None:
        """A write, or a while."""
        end = since + QUIET_SECONDS
        until("time", lambda: time.monotonic() > end or self.proxy.writes(self.namespace, since), timeout=10)

    def await_rest(self, since: float) -> None:
        """Each kind is listed twice more, and nothing is written."""
        kinds = set(WATCHED)

        def is_listed() -> bool:
            seen = [
                item.asked.resource
                for item in self.proxy.seen(self.namespace)
                if item.asked.verb == "list" and item.status == 200 and item.asked.at > since
            ]
            return all(seen.count(kind) >= 2 for kind in kinds)

        until("two lists of each kind", is_listed, timeout=90)
        assert not (late := self.proxy.writes(self.namespace, since)), f"written afterwards: {_names(late)}"
        self.check_lease()

    def check_lease(self) -> None:
        """Nothing is written by somebody whose Lease was not renewed for two thirds of its duration."""
        limit = self.container.lease_seconds * 2 / 3 + 1.0
        seen = self.proxy.seen(self.namespace)
        renewed = [
            item.asked.at
            for item in seen
            if item.asked.resource == "leases"
            and item.asked.verb in {"create", "update"}
            and item.status in {200, 201}
        ]
        for item in seen:
            if item.asked.is_write():
                at = item.asked.at
                age = at - max((moment for moment in renewed if moment <= at), default=0.0)
                assert age <= limit, f"{item.asked}: the Lease was last renewed {age:.1f} s before"


def _names(writes: Iterable[Seen]) -> str:
    return ", ".join(f"{item.asked} ({item.status})" for item in writes)


def difference(state: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> str:
    """The places in which two documents differ."""
    lines = []
    for key in sorted(state.keys() | wanted.keys()):
        one, other = state.get(key), wanted.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            lines.append(difference(one, other, f"{path}/{key}"))
        elif one != other:
            lines.append(f"{path}/{key}: {json.dumps(one)[:600]} and not {json.dumps(other)[:600]}")
    return "\n".join(filter(None, lines))


@dataclass
class Stage:
    """The cluster, the proxy and the rights; runs lanes."""

    api: Api
    proxy: Proxy
    kubeconfig: Path
    rights: list[dict]
    directory: Path
    baselines: dict[str, "Future[Baseline]"] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def world(self) -> World:
        """A namespace in which the operator has its rights."""
        with self._mutex:
            name = f"chaos-{next(self._numbers):03d}"
        self.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        for role in self.rights:
            kind = f"{role['kind'].lower()}s"
            path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/{kind}"
            self.api.create(path, {**role, "metadata": {**role["metadata"], "namespace": name}})
        return World(self.api, name)

    def clock(self) -> Path:
        """clock.c, compiled."""
        library = self.directory / "clock.so"
        with self._mutex:
            if not library.exists():
                system.ensure("cc")
                source = Path(__file__).with_name("clock.c")
                subprocess.run(["cc", "-shared", "-fPIC", "-nostdlib", "-o", library, source], check=True)
        return library

    def container(self, worlds: Iterable[World], name: str, **options: Any) -> Container:
        """Not started yet; its earlier self has just left its Leases."""
        names = [world.namespace for world in worlds]
        for world in worlds:
            world.leave_lease(IDENTITY, options.get("lease_seconds", LEASE_SECONDS))
        return Container(self.kubeconfig, names, self.directory / f"{name}.log", **options)


@contextmanager
def stage(kubernetes: Kubernetes, directory: Path) -> Iterator[Stage]:
    """The chart's CRD and account, and the chart's Role for each namespace."""
    options = ("--set", "watchNamespaces={default}")
    install(kubernetes, *options)
    api = Api(kubernetes.environment["KUBECONFIG"])
    rights = [
        {key: value for key, value in item.items() if key != "metadata"}
        | {"metadata": {"name": item["metadata"]["name"]}}
        for item in template(kubernetes, *options)
        if is_operators_role(item) or item["kind"] == "RoleBinding"
    ]
    config = kubeconfig(kubernetes, directory)
    with Proxy(api.url, api.authority) as proxy:
        content = yaml.safe_load(config.read_text())
        content["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{proxy.port}"}
        config.write_text(yaml.safe_dump(content))
        yield Stage(api, proxy, config, rights, directory)
    api.close()

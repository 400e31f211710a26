"""`make demo`, `make up`, `make down`: the whole path on a real cluster, shown step by step."""

import argparse
import concurrent.futures
import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import devcluster
from devcluster import engine as engines
from devcluster.demo import evidence, images, installation, target, weights
from devcluster.errors import DevclusterError
from devcluster.host.paths import cache
from devcluster.kubectl import CommandError, Kubernetes

EXAMPLE = "text-orientation"


@dataclass
class Steps:
    """Prints each step as it begins and how long it took, and remembers the times."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Time a step of the demo."""
        print(f"==> {what}", flush=True)
        start = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - start
        print(f"    {self.seconds[what]:.1f} s", flush=True)


def bring_up(steps: Steps) -> tuple[Kubernetes, images.Image]:
    """Bring up the cluster with the operator installed; returns it and the server's image."""
    with steps.step("cluster and images"), concurrent.futures.ThreadPoolExecutor() as side:
        downloading = side.submit(weights.text_orientation, cache())
        building = side.submit(lambda: (images.build("operator"), images.build("server")))
        place = target.cluster()
        operator, server = building.result()
        downloading.result()
    with steps.step("load the images into the cluster"):
        place.load(operator.name, server.name)
    with steps.step("helm install the operator"):
        installation.install_operator(place.kubernetes, operator.name, server.name)
    return place.kubernetes, server


def run() -> None:
    """Run the demo and print its table."""
    steps = Steps()
    kubernetes, server = bring_up(steps)
    model = weights.text_orientation(cache())
    with steps.step("put the model on a volume"):
        installation.fill_models_volume(kubernetes, server.name, model)
    with steps.step(f"kubectl apply -f examples/01-{EXAMPLE}, wait for condition=Ready"):
        kubernetes.apply(installation.EXAMPLES / f"01-{EXAMPLE}" / "modelserver.yaml")
        kubernetes.wait_for(EXAMPLE)
    with steps.step("ask it, over gRPC and REST"):
        answers = evidence.ask(kubernetes, EXAMPLE, model / "1" / "model.onnx")
    cpus = evidence.cpus(kubernetes, EXAMPLE)
    print(evidence.table(kubernetes, EXAMPLE, answers, cpus))
    print(f"images: server {server.size / 1e6:.0f} MB; steps: {sum(steps.seconds.values()):.0f} s in all")
    print(f"{_how_to_go_on()} `make demo-down` removes what the demo made.")
    evidence.insist(answers, cpus)


def _how_to_go_on() -> str:
    """Tell how to use the cluster by hand."""
    if target.given():
        return "The operator and the example keep running in your cluster."
    return 'The cluster keeps running; to use it by hand: eval "$(.venv/bin/python -m devcluster env)".'


def models() -> None:
    """Fill the claim `models` of a running cluster with the models of both examples."""
    place = target.cluster()
    both = (weights.text_orientation(cache()), weights.resnet50(cache()))
    installation.fill_models_volume(place.kubernetes, images.build("server").name, *both)


def up() -> None:
    """Bring up the cluster with the operator and leave it."""
    bring_up(Steps())
    print(f"The operator is installed. {_how_to_go_on()} `make down` removes it all.")


def down() -> None:
    """Remove what the demo made: its cluster, or its objects on a cluster that was given."""
    given = target.given()
    if given is None:
        devcluster.down(target.NAME)
        engines.stop()
        return
    given.kubernetes.kubectl("delete", "modelserver", EXAMPLE, "--ignore-not-found", "--wait=true")
    installation.remove_models_volume(given.kubernetes)
    installation.uninstall_operator(given.kubernetes)


def main() -> int:
    """Run the command line; every failure ends as one message and exit code 1."""
    verbs = {"run": run, "up": up, "models": models, "down": down}
    parser = argparse.ArgumentParser(prog="python -m devcluster.demo", description=__doc__)
    parser.add_argument("what", choices=verbs)
    try:
        verbs[parser.parse_args().what]()
    except (DevclusterError, CommandError, TimeoutError, evidence.NotProven) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

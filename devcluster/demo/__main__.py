"""`make demo`, `make up`, `make down`: from nothing to an inference on a real cluster, step by step."""

import argparse
import concurrent.futures
import sys

from devcluster import cluster as clusters
from devcluster import engine as engines
from devcluster.demo import evidence, images, installation, target, weights
from devcluster.demo.target import Target
from devcluster.errors import DevclusterError
from devcluster.host.paths import cache
from devcluster.host.process import stop_all
from devcluster.host.progress import Progress
from devcluster.state import DEFAULT_NAME

EXAMPLE = "text-orientation"


def bring_up(given: Target | None, progress: Progress) -> tuple[Target, images.Image]:
    """Install the operator on the given cluster or on ours; returns the cluster and the server's image."""
    if given is None:
        clusters.check_requirements()  # before any image is built
    progress.expect(2)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        model = pool.submit(weights.text_orientation, cache())
        building = pool.submit(lambda: [images.build(part, progress) for part in ("operator", "server")])
        try:
            chosen = given or target.own(progress)
        except BaseException:
            stop_all(images.OWNER)  # the error must not wait for builds that nothing needs any more
            raise
        operator, server = building.result()
        model.result()
    with progress.step("load the images into the cluster"):
        chosen.load(operator.name, server.name)
    with progress.step("helm install the operator"):
        installation.install_operator(chosen.kubernetes, operator.name, server.name)
    return chosen, server


def run() -> None:
    """Run the demo and print its table."""
    progress = Progress(3)
    chosen, server = bring_up(target.given(), progress)
    kubernetes = chosen.kubernetes
    model = weights.text_orientation(cache())
    with progress.step("copy the model to a volume"):
        installation.fill_models_volume(kubernetes, server.name, model)
    with progress.step(f"kubectl apply -f examples/01-{EXAMPLE}, wait for condition=Ready"):
        kubernetes.apply(installation.EXAMPLES / f"01-{EXAMPLE}" / "modelserver.yaml")
        kubernetes.wait_for(EXAMPLE)
    with progress.step("send inference requests by gRPC and REST"):
        inferences = evidence.infer(kubernetes, EXAMPLE, model / "1" / "model.onnx")
    cpus = evidence.settled_affinities(kubernetes, EXAMPLE)
    print(evidence.table(kubernetes, EXAMPLE, inferences, cpus))
    print(f"Server image: {server.size / 1e6:.0f} MB. The demo took {progress.seconds:.0f} s.")
    print(f"{_how_to_continue(chosen)} `make demo-down` removes what the demo created.")
    evidence.check(inferences, cpus)


def _how_to_continue(chosen: Target) -> str:
    """How to use the cluster from a shell."""
    if chosen.is_given:
        return "The operator and the example keep running in your cluster."
    return 'The cluster keeps running. To use it: eval "$(.venv/bin/python -m devcluster env)".'


def models() -> None:
    """Copy the models of both examples to the claim `models` of a running cluster."""
    progress = Progress()
    chosen = target.given() or target.own(progress)
    both = (weights.text_orientation(cache()), weights.resnet50(cache()))
    installation.fill_models_volume(chosen.kubernetes, images.build("server", progress).name, *both)


def up() -> None:
    """Bring up the cluster with the operator and leave it running."""
    chosen, _ = bring_up(target.given(), Progress())
    print(f"The operator is installed. {_how_to_continue(chosen)} `make down` removes everything.")


def down() -> None:
    """Remove what the demo created: its cluster, or its objects from a cluster that was given."""
    given = target.given()
    if given is None:
        clusters.down(DEFAULT_NAME)
        engines.stop()
        return
    given.kubernetes.kubectl("delete", "modelserver", EXAMPLE, "--ignore-not-found", "--wait=true")
    installation.remove_models_volume(given.kubernetes)
    installation.uninstall_operator(given.kubernetes)


def main() -> int:
    """Run the command line; a failure is reported by one message and its exit code."""
    verbs = {"run": run, "up": up, "models": models, "down": down}
    parser = argparse.ArgumentParser(prog="python -m devcluster.demo", description=__doc__)
    parser.add_argument("verb", choices=verbs)
    try:
        verbs[parser.parse_args().verb]()
    except (DevclusterError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, DevclusterError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prometheus from Debian's package, as an image on the base image."""

import tempfile
from pathlib import Path

from devcluster.build import base_image
from devcluster.engine import Engine
from devcluster.host import paths

_RECIPE = f"""
FROM {base_image.IMAGE}
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prometheus \\
 && apt-get clean && rm -rf /var/lib/apt/lists/*
USER 65534:65534
ENTRYPOINT ["/usr/bin/prometheus"]
"""


def image(engine: Engine) -> str:
    """The name of the image, after making sure that the engine has it."""
    name = f"modelserver-dev/prometheus:{paths.fingerprint((), _RECIPE, base_image.fingerprint())}"
    if not engine.has(name):
        base_image.ensure(engine)
        with tempfile.TemporaryDirectory() as directory:
            recipe = Path(directory) / "Dockerfile"
            recipe.write_text(_RECIPE)
            engine.build(Path(directory), name, f"--file={recipe}", log=paths.logs() / "prometheus.log")
    return name

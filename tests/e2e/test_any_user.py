"""Both images are usable by whichever user the cluster chooses, as OpenShift does."""

import pytest

from devcluster import engine as engines
from devcluster.demo import images

pytestmark = pytest.mark.docker
ANY_USER = "1000670000:0"
UNREADABLE = """
import os, sys, sysconfig
def fail(error): sys.exit(f"{error.filename}: {error.strerror}")
for top in ("/opt/venv", sysconfig.get_path("stdlib")):
    for folder, _, files in os.walk(top, onerror=fail):
        for name in files:
            try:
                os.close(os.open(os.path.join(folder, name), os.O_RDONLY))
            except OSError as error:
                fail(error)
"""


@pytest.fixture(params=["server_image", "operator_image"])
def image(request: pytest.FixtureRequest) -> images.Image:
    found: images.Image = request.getfixturevalue(request.param)
    return found


def run(image: images.Image, *arguments: str, program: str) -> str:
    """What a container prints that runs as that user, with nothing to write to."""
    options = ("--rm", "--read-only", "--network=none", f"--user={ANY_USER}", f"--entrypoint={program}")
    return engines.ensure().run("run", *options, image.name, *arguments, timeout=60)


def test_any_user_of_group_0_can_read_every_file_of_the_image(image: images.Image):
    assert run(image, "-c", UNREADABLE, program="/opt/venv/bin/python") == ""


def test_an_image_names_a_numeric_user_so_that_no_pod_has_to(image: images.Image):
    user = engines.ensure().run("image", "inspect", "--format={{.Config.User}}", image.name)

    assert user.strip() == "65532:65532"


def test_the_operators_program_runs_as_any_user(operator_image: images.Image):
    printed = run(operator_image, "crd", program="/opt/venv/bin/modelserver-operator")

    assert "kind: CustomResourceDefinition" in printed

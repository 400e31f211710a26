"""The server image for a device family."""

from dataclasses import dataclass

from modelserver_operator.api import ModelServer
from modelserver_operator.desired.accelerators import family


@dataclass(frozen=True)
class Images:
    """The operator's settings, used for objects that set no image."""

    cpu: str
    gpu: str
    npu: str

    def choose(self, server: ModelServer) -> str:
        """The object's image, or the image for its devices."""
        by_family = {"CPU": self.cpu, "GPU": self.gpu, "NPU": self.npu}
        return server.spec.image or by_family[family(server.spec)]

"""The server image for a device family."""

from dataclasses import dataclass

from modelserver_operator.api import ModelServer


@dataclass(frozen=True)
class Images:
    """The operator's settings, used for objects that set no image."""

    cpu: str
    gpu: str
    npu: str

    def choose(self, server: ModelServer) -> str:
        """The object's image, or the image for its devices: NPU before GPU before CPU."""
        if server.spec.image:
            return server.spec.image
        devices = " ".join((server.spec.device, *(model.device or "" for model in server.spec.models)))
        if "NPU" in devices:
            return self.npu
        return self.gpu if "GPU" in devices else self.cpu

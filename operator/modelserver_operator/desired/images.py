"""Which image serves a device family."""

from dataclasses import dataclass

from modelserver_operator.api import ModelServer


@dataclass(frozen=True)
class Images:
    """The operator's settings, used where an object names no image."""

    cpu: str
    gpu: str
    npu: str

    def choose(self, server: ModelServer) -> str:
        """The object's image, or that of the neediest device it names."""
        if server.spec.image:
            return server.spec.image
        devices = " ".join((server.spec.device, *(model.device or "" for model in server.spec.models)))
        if "NPU" in devices:
            return self.npu
        return self.gpu if "GPU" in devices else self.cpu

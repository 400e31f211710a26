"""What passes one interface: answers by their code, and the bytes of inferences."""

from modelserver.telemetry import families
from modelserver.telemetry.labels import Interface, of_interface, of_response
from modelserver.telemetry.metrics import Counter, Metrics


class Traffic:
    """The counters of one interface, each looked up once."""

    def __init__(self, metrics: Metrics, interface: Interface) -> None:
        self._metrics = metrics
        self._interface = interface
        self._received = metrics.counter(families.REQUEST_BYTES, of_interface(interface))
        self._sent = metrics.counter(families.RESPONSE_BYTES, of_interface(interface))
        self._by_code: dict[int | str, Counter] = {}

    def answered(self, code: int | str) -> None:
        """One answer."""
        counter = self._by_code.get(code)
        if counter is None:
            labels = of_response(code, self._interface)
            counter = self._by_code[code] = self._metrics.counter(families.RESPONSES, labels)
        counter.value += 1

    def inferred(self, received: int, sent: int) -> None:
        """The bytes of one successful inference: body or message, and its answer."""
        self._received.value += received
        self._sent.value += sent

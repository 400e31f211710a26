"""The parts of a server between its files and its data plane, put together without its fronts."""

from modelserver.admission import LiveLimits
from modelserver.engine import Devices
from modelserver.models.catalogue import Catalogue
from modelserver.models.converger import Converger
from modelserver.models.loader import Loader
from modelserver.models.planner import Planner
from modelserver.models.recovery import Recovery
from modelserver.models.repository import LocalStorage
from modelserver.models.scanner import Scanner
from modelserver.models.watcher import Watch, Watcher
from modelserver.settings.limits import Limits
from modelserver.telemetry.metrics import Metrics
from modelserver.telemetry.series import VersionSeries
from modelserver.threads import Threads
from modelserver.tuning.machine import read_machine


class Parts:
    """A catalogue and what fills it; a context manager that ends the threads."""

    def __init__(self, *, machine=read_machine, storage=None, loader=None):
        self.threads = Threads(1)
        self.limits = LiveLimits(Limits())
        self.metrics = Metrics()
        self.catalogue = Catalogue()
        thread = self.threads.load
        self.converger = Converger(
            self.catalogue,
            Scanner(storage or LocalStorage(), thread),
            Planner(machine, None),
            loader or Loader(Devices(None), self.limits, lambda: None, thread),
            VersionSeries(self.metrics),
        )
        self.recovery = Recovery(self.converger, lambda work: work(), self.threads.check)

    def watcher(self, configuration, path=None, poll_seconds=0.0) -> Watcher:
        watch = Watch(path, poll_seconds)
        return Watcher(self.catalogue, self.converger, self.limits, configuration, watch)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.threads.end()

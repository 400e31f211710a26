"""The way from what is wanted to what is served.

`converge` is level-triggered: it looks at the configuration and the files, loads what is missing
next to what is served, swaps, and only then retires the rest. Nothing is torn down before its
replacement has answered a real inference, and whatever fails leaves the old one in place.
"""

import logging
import time
from collections.abc import Collection

from modelserver.engine import LoadedModel
from modelserver.errors import LoadFailed
from modelserver.models.catalogue import Catalogue
from modelserver.models.loader import Loader, Loading
from modelserver.models.model import Model, Recipe, Refusal, State, Version
from modelserver.models.planner import Planner, Surroundings
from modelserver.models.retirement import Retirement
from modelserver.models.scanner import Scanner
from modelserver.settings.config_file import ModelSettings
from modelserver.telemetry.series import Figures, VersionSeries

LOG = logging.getLogger(__name__)
MAX_BACKOFF_SECONDS = 60.0


class Converger:
    """Changes the catalogue; one pass at a time."""

    def __init__(
        self, catalogue: Catalogue, scanner: Scanner, planner: Planner, loader: Loader, series: VersionSeries
    ) -> None:
        self._catalogue = catalogue
        self._scanner = scanner
        self._planner = planner
        self._loader = loader
        self._series = series
        self._retirement = Retirement(catalogue, loader, series)

    async def apply(self, models: Collection[ModelSettings], revision: str | None) -> None:
        """Make these models the wanted ones and go there."""
        served = self._catalogue.models
        wanted = {settings.name: settings for settings in models}
        gone = [served.pop(name) for name in served.keys() - wanted.keys()]
        for name, settings in wanted.items():
            model = served.setdefault(name, Model(settings))
            if model.settings != settings:
                model.settings, model.is_unloaded = settings, False
        # Only now: the retiring is noticed, and without the new models the rest may look complete.
        for model in gone:
            self._retire_model(model)
        self._catalogue.notify()
        await self.converge(revision, settle=False)
        self._catalogue.revision, self._catalogue.has_converged = revision, True
        self._catalogue.notify()

    async def converge(self, revision: str | None, *, settle: bool = True, scan: bool = True) -> None:
        """One pass: look at the files, load, swap, retire. `settle` waits for half-copied files."""
        models = list(self._catalogue.models.values())
        if scan:
            await self._scanner.scan(models, settle=settle)
        for model in models:
            model.note_wanted()
        surroundings = self._planner.survey(models)
        for model in models:
            await self._converge_model(model, surroundings)
            if model.error is None:
                model.revision = revision
        self._catalogue.notify()

    async def load(self, name: str) -> None:
        """Serve a configured model, again or as its files are now; LoadFailed tells what is wrong with it."""
        model = self._catalogue.known(name)
        model.is_unloaded = False
        model.forgive()
        await self._scanner.scan([model], settle=False)
        await self.converge(self._catalogue.revision, scan=False)
        if model.error is not None:
            raise LoadFailed(f"Model {name} cannot be loaded: {model.error}")

    async def unload(self, name: str) -> None:
        """Serve a model no longer; what is inside finishes."""
        model = self._catalogue.known(name)
        model.is_unloaded = True
        self._retire_model(model)
        await self.converge(self._catalogue.revision, scan=False)

    def distrust(self, version: Version, reason: str | None) -> None:
        """It keeps serving, but its own readiness fails for this reason; None ends that."""
        version.fault = reason
        if (model := self._catalogue.models.get(version.model)) is not None:
            model.error = model.why_not_as_wanted()
        self._catalogue.notify()

    async def renew(self, version: Version, broken: LoadedModel) -> None:
        """Compile the version again and swap; where that fails, it no longer answers and is loaded later."""
        if version.loaded is not broken or version.recipe is None:
            return
        self._series.renewed(version.labels)
        await self._load(version, version.recipe)
        if version.loaded is broken:
            self._retirement.retire(version)
        self.distrust(version, None)

    def is_retry_due(self) -> bool:
        """Whether a version that could not be loaded may be tried again now."""
        return any(
            version.failed and version.error and version.is_wanted and time.monotonic() >= version.retry_at
            for model in self._catalogue.models.values()
            for version in model.versions.values()
        )

    async def _converge_model(self, model: Model, surroundings: Surroundings) -> None:
        model.chosen = await self._bring_up(model, surroundings)
        serving = model.chosen | model.substitutes
        for number, version in list(model.versions.items()):
            if version.loaded is not None:
                if number not in serving:
                    self._retirement.retire(version)
            elif not version.is_wanted and version.state is State.START:
                del model.versions[number]  # it was asked for, but never there
            elif not version.is_wanted and version.state is not State.UNLOADING:
                version.state, version.error = State.END, None
        model.error = model.why_not_as_wanted()

    async def _bring_up(self, model: Model, surroundings: Surroundings) -> set[int]:
        """Load what the policy selects; without those that fail it selects again from the others."""
        failed: set[int] = set()
        while True:
            chosen = model.select(model.files.keys() - failed)
            broken = set()
            for number in sorted(chosen):
                version = model.versions.setdefault(number, Version(model.settings.name, number))
                if not await self._bring_up_version(model, version, surroundings):
                    broken.add(number)
            if not broken:
                return chosen
            failed |= broken

    async def _bring_up_version(self, model: Model, version: Version, surroundings: Surroundings) -> bool:
        """True when the version answers afterwards, even if with its old content."""
        plan = self._planner.plan(model.settings, surroundings)
        if isinstance(plan, Refusal):
            return self._note_failure(version, plan, plan.reason)
        recipe = Recipe(model.files[version.number], model.settings.shaping, plan)
        if version.loaded is not None and version.recipe == recipe:
            # Only its reasons and warnings may be new.
            version.plan, version.error, version.failures = plan, None, 0
            return True
        if version.is_backing_off(recipe):
            return version.loaded is not None
        return await self._load(version, recipe)

    async def _load(self, version: Version, recipe: Recipe) -> bool:
        old = version.loaded
        if old is None:
            version.state = State.LOADING
            self._catalogue.notify()
        try:
            new = await self._loader.load(recipe, beside_others=self._catalogue.serves_anything)
        except LoadFailed as error:
            return self._note_failure(version, recipe, str(error))
        except Exception as error:
            LOG.exception("unexpected error while loading model %s", version.model)
            return self._note_failure(version, recipe, repr(error))
        version.loaded, version.recipe, version.plan = new.model, recipe, recipe.plan
        version.state, version.error, version.fault, version.failures = State.AVAILABLE, None, None, 0
        self._announce(version, new)
        if old is not None:
            self._retirement.replaced(old, version.model)
        return True

    def _announce(self, version: Version, new: Loading) -> None:
        """The version answers from now on."""
        _log_serving(version, *self._catalogue.progress())
        effect = new.model.effect
        figures = Figures(effect.streams, effect.nireq, effect.threads, new.seconds)
        self._series.serves(version.labels, figures, new.model)
        self._catalogue.changes += 1
        self._catalogue.notify()

    def _note_failure(self, version: Version, attempt: Recipe | Refusal, reason: str) -> bool:
        """Keep what is served; try again when something changes, or later and later."""
        if version.is_backing_off(attempt):
            return version.loaded is not None
        version.failures = version.failures + 1 if version.failed == attempt else 1
        version.failed = attempt
        version.retry_at = time.monotonic() + min(MAX_BACKOFF_SECONDS, 2.0**version.failures / 2)
        if version.loaded is None:
            version.state = State.LOADING
        version.error = reason
        LOG.error("model %s version %d cannot be loaded: %s", version.model, version.number, reason)
        self._series.failed(version.labels)
        self._catalogue.notify()
        return version.loaded is not None

    def _retire_model(self, model: Model) -> None:
        for version in model.versions.values():
            if version.loaded is not None:
                self._retirement.retire(version)


def _log_serving(version: Version, served: int, wanted: int) -> None:
    effect = version.serving.effect
    LOG.info(
        "model %s version %d serves (%d of %d wanted versions): devices %s, streams %s, nireq %d, threads %s,"
        " hint %s, pinned %s %s",
        version.model, version.number, served, wanted, ",".join(effect.execution_devices), effect.streams,
        effect.nireq, effect.threads, effect.hint, effect.pinning,
        "inline" if version.serving.inline else "",
    )  # fmt: skip
    for warning in version.plan.warnings if version.plan else ():
        LOG.warning("model %s: %s", version.model, warning)

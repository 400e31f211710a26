"""What the user asks for, for one model, and the same under OpenVINO's present property names. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelserver.errors import ConfigError
from modelserver.tuning.legacy import Translation, translation

HINTS = ("LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT")


@dataclass(frozen=True)
class Wish:
    """What the user asked for, for one model."""

    device: str = "CPU"
    hint: str | None = None
    streams: int | str | None = None
    expected_clients: int | None = None
    nireq: int | None = None
    plugin_config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """A wish whose plugin_config is translated, without contradictions."""

    wish: Wish
    translated: Translation

    @property
    def config(self) -> Mapping[str, Any]:
        """plugin_config under the present names."""
        return self.translated.properties

    def key(self, name: str) -> str:
        """The key of plugin_config under which the user gave this property."""
        return self.translated.key(name)

    @property
    def hint(self) -> str | None:
        """The user's own, from either place."""
        return self.wish.hint or self.config.get("PERFORMANCE_HINT")

    @property
    def streams(self) -> int | str | None:
        """The user's own, from either place."""
        return self.config.get("NUM_STREAMS") if self.wish.streams is None else self.wish.streams

    @property
    def has_own_threads(self) -> bool:
        """Whether threads or streams were given explicitly, so that the model does not share."""
        return self.streams is not None or "INFERENCE_NUM_THREADS" in self.config


def read(wish: Wish) -> Wanted:
    """Translate once; raises ConfigError naming what contradicts what, as it was written."""
    translated = translation(wish.plugin_config)
    wanted = Wanted(wish, translated)
    _refuse_hint_with_streams(wish, translated)
    if wanted.hint is not None and wanted.hint not in HINTS:
        place = "" if wish.hint else f"plugin_config: {wanted.key('PERFORMANCE_HINT')}: "
        raise ConfigError(f"{place}unknown performance hint {wanted.hint!r}: use one of {', '.join(HINTS)}")
    if str(wanted.config.get("ENABLE_CPU_RESERVATION", "NO")).upper() not in ("NO", "FALSE", "0"):
        raise ConfigError(
            f"{wanted.key('ENABLE_CPU_RESERVATION')} is not supported: it makes every later model fail to"
            " compile; remove it"
        )
    return wanted


def _refuse_hint_with_streams(wish: Wish, translated: Translation) -> None:
    given = (
        "hint" if wish.hint else None,
        translated.written.get("PERFORMANCE_HINT"),
        "streams" if wish.streams is not None else None,
        translated.written.get("NUM_STREAMS"),
    )
    names = [name for name in given if name]
    if len(names) > 1:
        raise ConfigError(f"{' and '.join(names)} must not be used together: keep one of them")

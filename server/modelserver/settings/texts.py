"""What cannot be seen in a text: control characters in settings, byte order marks in front of files."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from modelserver.errors import ConfigError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_SPACE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_NO_TEXT = re.compile(r"[\ud800-\udfff]")


def trimmed(text: str) -> str:
    """Without the line breaks at its end, which come with the content of a file in a Secret or ConfigMap."""
    return text.rstrip("\r\n")


def shown(text: object) -> str:
    """For a message: escaped where it has characters that cannot be seen."""
    plain = str(text)
    return plain if plain.isprintable() else repr(plain)


def require_visible(name: str, text: str) -> None:
    """Raise ConfigError for control characters in this setting; lists and JSON may be broken up."""
    is_broken_up = "," in text or "{" in text
    if (_CONTROL_BUT_SPACE if is_broken_up else _CONTROL).search(text):
        raise ConfigError(f"{name}: {text!r} contains a control character; remove it")


def require_name(name: str, text: str) -> None:
    """Raise ConfigError for what no client could write into a URL as one part of a path."""
    if _CONTROL.search(text):
        raise ConfigError(f"{name}: {text!r} contains a control character; remove it")
    if _NO_TEXT.search(text):
        raise ConfigError(f"{name}: {text!r} is not UTF-8; use another name")
    if text in (".", ".."):
        raise ConfigError(f"{name}: clients take {text!r} in a URL for a directory; use another name")


def without_mark(raw: bytes) -> bytes:
    """A file's UTF-8 content without the mark that some editors put in front; ConfigError for UTF-16."""
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise ConfigError("the file is UTF-16; save it as UTF-8")
    return raw.removeprefix(BOM_UTF8)

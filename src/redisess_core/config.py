"""What callers hand in, checked before any I/O: options, ids, seconds, names."""

from __future__ import annotations

import keyword
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from uuid import UUID

from redisess_core.tokens import MAX_SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable

UserId = str | int | UUID
LimitPolicy = Literal["evict", "refuse"]

MAX_ID_BYTES: Final = 256
MAX_KEYS: Final = 1000  # of data in a session, and that one call names: what a script reads or writes is bounded
MIN_SECONDS: Final = 1e-6
MAX_CLIENT_LENGTH: Final = 256  # characters of an address or a user agent that are kept
CLUSTER_SHARDS: Final = 64


@dataclass(frozen=True, slots=True)
class Options:
    """A manager's options, as DESIGN.md and the reference name them; all are checked here."""

    namespace: str
    additional_fields: tuple[str, ...]
    ttl: float
    max_lifetime: float | None
    touch_interval: float
    max_sessions_per_user: int | None
    on_limit: LimitPolicy
    record_client: bool
    max_data_bytes: int
    shards: int
    clock: Callable[[], float] | None

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        check_seconds("ttl", self.ttl)
        check_seconds("touch_interval", self.touch_interval)
        if self.max_lifetime is not None and check_seconds("max_lifetime", self.max_lifetime) == 0:
            raise ValueError(
                "max_lifetime: 0 given, a positive number of seconds wanted, or None for no absolute timeout"
            )
        if self.max_sessions_per_user is not None:
            check_count("max_sessions_per_user", self.max_sessions_per_user)
        if self.on_limit not in ("evict", "refuse"):
            raise ValueError(f'on_limit: {self.on_limit!r} given, "evict" or "refuse" wanted')
        check_flag("record_client", self.record_client)
        check_count("max_data_bytes", self.max_data_bytes)
        if check_count("shards", self.shards) > MAX_SHARDS:
            raise ValueError(f"shards: {self.shards} given, at most {MAX_SHARDS} wanted")
        if self.clock is not None and not callable(self.clock):
            raise TypeError(f"clock: {type(self.clock).__name__} given, a callable or None wanted")


def check_namespace(namespace: object) -> str:
    """Return *namespace* if it can prefix keys."""
    if not isinstance(namespace, str):
        raise TypeError(f"namespace: {type(namespace).__name__} given, a str wanted")
    if not namespace or not 1 <= len(encode_text("namespace", namespace)) <= MAX_ID_BYTES:
        raise ValueError(f"namespace: {namespace!r} given, 1 to {MAX_ID_BYTES} bytes wanted")
    if "{" in namespace or "}" in namespace:
        raise ValueError(f"namespace: {namespace!r} given, a name without braces wanted: ours decide the slot of a key")
    return namespace


def check_seconds(name: str, value: object) -> float:
    """Return *value* if it is a number of seconds, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: {type(value).__name__} given, a number of seconds wanted")
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name}: {value!r} given, a finite number of seconds wanted, 0 or more")
    if 0 < value < MIN_SECONDS:
        raise ValueError(f"{name}: {value!r} given, 0 or at least a microsecond wanted")
    return int(value) if isinstance(value, int) else float(value)  # a subclass may be written in a way of its own


def check_time(name: str, value: object) -> float:
    """Return *value* if it is a time, in seconds since the epoch, before it or after."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: {type(value).__name__} given, seconds since the epoch wanted")
    if not -sys.float_info.max <= value <= sys.float_info.max:
        raise ValueError(f"{name}: {value!r} given, seconds since the epoch wanted")
    return float(value)


def check_count(name: str, value: object) -> int:
    """Return *value* if it is a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: {type(value).__name__} given, an int wanted")
    if value < 1:
        raise ValueError(f"{name}: {value} given, a number from 1 wanted")
    return value


def check_user_id(user_id: object) -> str:
    """Return the `str` of a user id: 1 to 256 bytes in UTF-8."""
    if isinstance(user_id, bool) or not isinstance(user_id, (str, int, UUID)):
        raise TypeError(f"user_id: {type(user_id).__name__} given, a str, int or UUID wanted")
    text = str.__str__(user_id) if isinstance(user_id, str) else str(user_id)  # a member of an enum is its value
    if not 1 <= len(encode_text("user_id", text)) <= MAX_ID_BYTES:
        raise ValueError(f"user_id: {len(text)} characters given, 1 to {MAX_ID_BYTES} bytes in UTF-8 wanted")
    return text


def check_handle(name: str, value: object, *, of_a_form: bool = False) -> str:
    """Return *value*, a session id or a token, if it is text at all; its form is a matter of its own.

    *of_a_form*: it may be empty, as what somebody left out.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: {type(value).__name__} given, a str wanted")
    if not value and not of_a_form:
        wanted = "a token" if name == "token" else "a session id"
        raise ValueError(f"{name}: an empty str given, {wanted} wanted")
    return value


def check_data_key(key: object) -> str:
    """Return *key* if it can name a value of session data: 1 to 256 bytes in UTF-8."""
    if not isinstance(key, str):
        raise TypeError(f"key of session data: {type(key).__name__} given, a str wanted")
    if not 1 <= len(encode_text("key of session data", key)) <= MAX_ID_BYTES:
        raise ValueError(f"key of session data: {len(key)} characters given, 1 to {MAX_ID_BYTES} bytes in UTF-8 wanted")
    return key


def check_several(name: str, value: object) -> list[Any]:
    """Return one `str`, or what an iterable of several gives, as a list; what each may be is a matter of its own."""
    if not isinstance(value, Iterable):
        raise TypeError(f"{name}: {type(value).__name__} given, a str or several wanted")
    several = [value] if isinstance(value, str) else list(cast("Iterable[object]", value))
    check_number(name, len(several))
    return several


def check_number(name: str, number: int) -> None:
    """Refuse more than one call may name."""
    if number > MAX_KEYS:
        raise ValueError(f"{name}: {number} given, at most {MAX_KEYS} at a time wanted")


def check_data(data: object) -> Mapping[str, Any]:
    """Return *data* if it is a mapping whose keys can name values of session data."""
    if not isinstance(data, Mapping):
        raise TypeError(f"session data: {type(data).__name__} given, a mapping wanted")
    check_number("keys of session data", len(cast("Mapping[object, Any]", data)))
    for key in cast("Mapping[object, Any]", data):
        check_data_key(key)
    return cast("Mapping[str, Any]", data)


def check_fields(names: object, reserved: frozenset[str]) -> tuple[str, ...]:
    """Return the names of additional fields if each can be an attribute of a session and hides none."""
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(f"additional_fields: {type(names).__name__} given, a sequence of names wanted")
    found: list[str] = []
    for name in cast("Iterable[object]", names):
        if not isinstance(name, str):
            raise TypeError(f"additional_fields: a {type(name).__name__} given among them, names wanted")
        normal = unicodedata.normalize("NFKC", name)  # as Python writes names
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or name != normal:
            raise ValueError(f"additional_fields: {name!r} given, a Python name without a leading underscore wanted")
        if name in reserved:
            raise ValueError(
                f"additional_fields: {name!r} given, which an attribute or argument of redisess has already"
            )
        if name in found:
            raise ValueError(f"additional_fields: {name!r} given twice")
        found.append(name)
    return tuple(found)


def check_flag(name: str, value: object) -> bool:
    """Return *value* if it is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: {type(value).__name__} given, a bool wanted")
    return value


def check_text(name: str, value: object) -> str | None:
    """Return *value* if it is text or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name}: {type(value).__name__} given, a str or None wanted")
    return value


def encode_text(name: str, text: str) -> bytes:
    """Return *text* in UTF-8; a lone surrogate is refused."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: text with a lone surrogate given, text that UTF-8 can write wanted") from None

"""Turn session values into bytes and back, each with its type, and never by pickle.

The bytes are JSON (RFC 8259). What JSON has itself stands as it is; every other type is an object of one key, its tag,
that begins with "~": `(1, 2)` is `{"~t":[1,2]}`. A dict whose own keys could be taken for a tag, or are not strings,
is a list of pairs under "~m", so no value can pass itself off as another type.
"""

from __future__ import annotations

import math
import re
import reprlib
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import partial
from json import JSONDecoder, JSONEncoder
from threading import Lock
from typing import Any, NoReturn, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from redisess_core.errors import RedisessError

T = TypeVar("T")
MAX_DEPTH = 100  # how far below the top of a session value another value may lie
_dict_items = dict[object, object].items
_MICROSECOND = timedelta(microseconds=1)
_OWN = "~x:"
_TAG = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_JSON = JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _Codec:
    """How a type is stored.

    What `to` returns goes under *tag* if it is of the type *payload*, and `of` reads it from there; anything else, or
    what has no tag, is JSON that says its type by itself.
    """

    tag: str | None
    cls: type
    payload: type
    to: Callable[[Any, _Walk], Any]
    of: Callable[[Any], Any]
    own: bool = False


@dataclass(slots=True)
class _Walk:
    """The way from a value to a tree of JSON types; knows where it is, for its errors and the depth limit."""

    steps: list[int | str | type]

    def plain(self, step: int | str | type, value: object) -> Any:
        """Return *value* as JSON types; *step* is its index or key, or where it has none, a type to show."""
        steps = self.steps
        if len(steps) > MAX_DEPTH:
            raise RecursionError
        cls = type(value)
        if cls is str or value is None or cls is bool:
            return value
        steps.append(step)
        codec = _BY_TYPE.get(cls) or _inherited(cls) or self._refuse(cls)
        plain = codec.to(value, self)
        steps.pop()
        return {codec.tag: plain} if codec.tag and isinstance(plain, codec.payload) else plain

    def _refuse(self, cls: type) -> NoReturn:
        steps = [f"<{step.__name__}>" if isinstance(step, type) else reprlib.repr(step) for step in self.steps[1:]]
        place = f" (at {self.steps[0]}[{']['.join(steps)}])" if steps else ""
        raise TypeError(
            f"session data {self.steps[0]!r}: cannot store a value of type {_name(cls)}{place}; store None, bool, int, "
            "float, str, bytes, datetime, date, time, timedelta, Decimal, UUID, list, tuple, set, frozenset or dict, "
            "or make the type storable with register_type()"
        )


def _name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _to_list(value: Iterable[object], walk: _Walk) -> list[Any]:
    return [walk.plain(index, item) for index, item in enumerate(value)]


def _to_sorted(value: Iterable[object], walk: _Walk) -> list[Any]:
    """Return a set's members in the order of their JSON, so that equal sets are equal bytes."""
    return sorted([walk.plain(type(item), item) for item in value], key=_JSON.encode)


def _to_dict(value: dict[object, object], walk: _Walk) -> dict[str, Any] | list[list[Any]]:
    """Return a dict; or pairs, if a key is not a string in JSON or could be taken for a tag."""
    pairs: list[list[Any]] = []
    # What the dict itself holds, whatever a subclass shows: a MultiDict has more. Only an OrderedDict knows its order.
    for key, item in value.items() if isinstance(value, OrderedDict) else _dict_items(value):
        name = key if type(key) is str else walk.plain(type(key), key)
        pairs.append([name, walk.plain(name if type(name) is str else type(key), item)])
    return dict(pairs) if all(type(name) is str and not name.startswith("~") for name, _ in pairs) else pairs


def _of_pairs(payload: list[Any]) -> dict[Any, Any]:
    if not all(isinstance(pair, list) for pair in payload):
        raise ValueError
    return dict(payload)


def _to_int(value: int, _: _Walk) -> int | str:
    """Write a big number in hex, which is read in linear time and has no limit of digits."""
    return value if value.bit_length() < 64 else hex(value)


def _to_float(value: float, _: _Walk) -> float | str:
    return value if math.isfinite(value) else float.__repr__(value)


def _to_moment(value: datetime | time, _: _Walk) -> list[Any]:
    """Return the reading in ISO 8601, `fold`, the offset from UTC in microseconds, and the zone's key."""
    if isinstance(value, datetime):
        naive: datetime | time = datetime.combine(datetime.date(value), datetime.time(value))
    else:
        naive = time(value.hour, value.minute, value.second, value.microsecond)
    offset, zone = value.utcoffset(), value.tzinfo
    # Apart from the reading, since `fromisoformat` takes an offset of less than a second for UTC.
    microseconds = None if offset is None else offset // _MICROSECOND
    return [naive.isoformat(), value.fold, microseconds, zone.key if isinstance(zone, ZoneInfo) else None]


def _of_moment(cls: type[datetime] | type[time], payload: list[Any]) -> datetime | time:
    text, fold, microseconds, key = payload
    zone: tzinfo | None = None if microseconds is None else timezone(microseconds * _MICROSECOND)
    if key is not None:
        with suppress(KeyError, ValueError, OSError):  # a zone that is unknown here: its offset still tells the moment
            zone = ZoneInfo(key)
    return cls.fromisoformat(text).replace(fold=fold, tzinfo=zone)


_CODECS = (
    _Codec(None, str, str, lambda it, _: str.__str__(it), str),
    _Codec(None, list, list, _to_list, list),
    _Codec("~m", dict, list, _to_dict, _of_pairs),
    _Codec("~i", int, str, _to_int, lambda it: int(it, 16)),
    _Codec("~f", float, str, _to_float, float),
    _Codec("~t", tuple, list, _to_list, tuple),
    _Codec("~s", set, list, _to_sorted, set),
    _Codec("~fs", frozenset, list, _to_sorted, frozenset),
    _Codec("~b", bytes, str, lambda it, _: b64encode(it).decode(), partial(b64decode, validate=True)),
    _Codec("~dt", datetime, list, _to_moment, partial(_of_moment, datetime)),
    _Codec("~d", date, str, lambda it, _: date.isoformat(it), date.fromisoformat),
    _Codec("~tm", time, list, _to_moment, partial(_of_moment, time)),
    _Codec("~td", timedelta, int, lambda it, _: it // _MICROSECOND, lambda it: it * _MICROSECOND),
    _Codec("~dec", Decimal, str, lambda it, _: Decimal.__str__(it), Decimal),
    _Codec("~u", UUID, str, lambda it, _: it.hex, UUID),
)
_BY_TAG = {codec.tag: codec for codec in _CODECS if codec.tag}
_BY_TYPE = {codec.cls: codec for codec in _CODECS}
_RESERVED = frozenset({*_BY_TYPE, bool, type(None), object})
_REGISTERING = Lock()


def _inherited(cls: type) -> _Codec | None:
    """Return the codec of the nearest base of *cls*, a registered one before a built-in one.

    In between, a registered class that is none of its bases, and takes it for a subclass all the same.
    """
    codecs = [_BY_TYPE[base] for base in cls.__mro__ if base in _BY_TYPE]
    own = next((codec for codec in codecs if codec.own), None)
    virtual = (codec for codec in tuple(_BY_TYPE.values()) if codec.own and issubclass(cls, codec.cls))
    return own or next(virtual, codecs[0] if codecs else None)


def register_type(cls: type[T], tag: str, to_plain: Callable[[T], object], from_plain: Callable[[Any], T]) -> None:
    """Make *cls* storable as what *to_plain* makes of it, from which *from_plain* makes it again.

    *to_plain* returns any value that can be stored. A subclass that is not registered itself is stored as *cls*; what
    is one, an abstract base class may say itself (`__subclasshook__`). The tag is kept with each value, so it must not
    change from release to release, and every process that reads the values must register it. The same class and tag
    again only renews the functions. May be called from any thread.

    Raises `TypeError` for arguments of other types and for a class that is storable anyway; `ValueError` if *tag* is
    another class's, *cls* has another tag, or *tag* is not 1 to 64 of `A-Z a-z 0-9 _ . : -`.
    """
    wanted: list[tuple[object, Any]] = [(cls, type), (tag, str), (to_plain, Callable), (from_plain, Callable)]
    if not all(isinstance(given, kind) for given, kind in wanted):
        raise TypeError("register_type() wants a class, its tag, and two functions, to_plain and from_plain")
    if cls in _RESERVED:
        raise TypeError(f"register_type(): the form of {_name(cls)} is fixed; register a class of your own")
    if not _TAG.fullmatch(tag):
        raise ValueError(f"register_type(): {tag!r} is not a tag; use 1 to 64 of A-Z a-z 0-9 _ . : -")
    codec = _Codec(_OWN + tag, cls, object, lambda it, walk: walk.plain(cls, to_plain(it)), from_plain, own=True)
    with _REGISTERING:
        for known in (_BY_TAG.get(_OWN + tag), _BY_TYPE.get(cls)):
            if known and (known.tag, known.cls) != (codec.tag, cls):
                taken = str(known.tag).removeprefix(_OWN)
                raise ValueError(f"register_type(): {_name(cls)} cannot be {tag!r}; {_name(known.cls)} is {taken!r}")
        _BY_TAG[_OWN + tag] = codec  # before the type, so that what is written can be read
        _BY_TYPE[cls] = codec


def encode(value: object, key: str) -> bytes:
    """Return *value*, the session data called *key*, as bytes.

    Values that are equal and of the same types give the same bytes, sets in whatever order they were filled; a dict
    keeps the order of its keys. Raises `TypeError` if the value or a part of it is of a type that cannot be stored,
    `ValueError` if it contains itself or is deeper than `MAX_DEPTH`; neither shows the value.
    """
    try:
        text = _JSON.encode(_Walk([]).plain(key, value))
    except RecursionError:
        raise ValueError(f"session data {key!r}: contains itself or is deeper than {MAX_DEPTH} levels") from None
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Any:
    """Return the value that `encode` turned into *data*.

    Raises `RedisessError`, which does not show *data*, if that is malformed or of a type not registered here.
    """
    try:
        text = data.decode("utf-8", "surrogatepass")
        value, end = _DECODER.raw_decode(text)  # decode() would look for white space around it, which is never there
    except (ValueError, RecursionError):
        raise _undecodable() from None
    if end != len(text):
        raise _undecodable()
    return value


def holds(data: bytes, value: object, key: str) -> bool:
    """Whether *data* is *value*, the session data called *key*, encoded; raises as `encode` does."""
    return encode(value, key) == data


def _undecodable(why: str = "it is not in the form that redisess writes") -> RedisessError:
    return RedisessError(f"stored session value cannot be decoded: {why}")


def _typed(fields: dict[str, Any]) -> Any:
    """Return what a JSON object stands for; whatever lies inside it is decoded already."""
    tag = next((name for name in fields if name.startswith("~")), None)
    if tag is None:
        return fields
    codec = _BY_TAG.get(tag)
    if codec is None and tag.startswith(_OWN) and _TAG.fullmatch(tag, len(_OWN)):
        raise _undecodable(f"no type is registered here as {tag[len(_OWN) :]!r}; call register_type() first")
    if codec is None or len(fields) != 1 or not isinstance(fields[tag], codec.payload):
        raise ValueError
    try:
        return codec.of(fields[tag])
    except Exception as error:  # noqa: BLE001  a registered function may raise anything
        raise _undecodable(f"malformed {_name(codec.cls)}") from (error if codec.own else None)


def _refuse_constant(_: str) -> NoReturn:
    """Refuse NaN, Infinity and -Infinity, which Python's parser takes for JSON."""
    raise ValueError


_DECODER = JSONDecoder(object_hook=_typed, parse_constant=_refuse_constant)


@dataclass(frozen=True, slots=True)
class Serialized:
    """A value that a serializer of an application's own made bytes of; whoever does not have it sees these."""

    serializer: str  # its import path
    data: bytes


register_type(
    Serialized,
    "serialized",
    lambda it: [it.serializer, it.data],
    lambda plain: Serialized(str(plain[0]), bytes(plain[1])),
)
_SERIALIZED = encode(Serialized("", b""), "").partition(b'""')[0]


def serializer_of(data: bytes) -> str | None:
    """Return by whose serializer *data* was made; None: it holds a value of the types above."""
    found = decode(data) if data.startswith(_SERIALIZED) else None
    return found.serializer if isinstance(found, Serialized) else None

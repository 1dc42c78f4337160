"""Where tokens come from: a request's header or cookie, and what a response's headers say of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Final, TypeAlias

from redisess_core.web.cookie import check_name

HeaderValues: TypeAlias = Callable[[str], Sequence[str]]
"""Gives the values of a request's header, one an occurrence, decoded as latin-1; its name in any case."""

MAX_COOKIE_CHARACTERS: Final = 65_536
"""Of a request with more than this in its cookies, none is read: the limits of most servers are lower."""

_OWS: Final = " \t"  # HTTP's white space; str.strip() alone would also trim a no-break space
_QUOTED_STRING: Final = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)')


class Source(Enum):
    """Where a request's token was found."""

    NONE = "none"
    COOKIE = "cookie"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Found:
    """What a request brought. The token is no part of the repr, which may end up in a log."""

    token: str | None = field(repr=False)
    source: Source
    cookie_present: bool
    """Whether a cookie of the session's name was sent at all, be it a token or not, used or not."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Finds the one token of a request: in the header, else in the cookie, never trying both.

    *header* "Authorization" is read as `Bearer` and a token (RFC 6750); of any other header, the whole value
    is the token; `None` turns the header off. *is_token* knows the form of a token, not whether it is live.
    """

    is_token: Callable[[str], bool]
    cookie_name: str
    header: str | None = "Authorization"

    def __post_init__(self) -> None:
        _check_callable("is_token", self.is_token)
        check_name("cookie_name", self.cookie_name)
        if self.header is None:
            return
        check_name("header", self.header)
        if self.header.lower() == "cookie":
            raise ValueError(f"header is {self.header!r}; wanted another name, or None for cookies only")

    def find(self, headers: HeaderValues) -> Found:
        """Give the request's token and where it was; whatever was sent, this does not raise.

        A header that does not hold something of a token's form is somebody else's (another application's
        bearer token), and the cookie is read. So is one that was sent twice: which of the two a proxy
        checked, nobody knows. Servers that join headers by a comma (WSGI) come to the same.

        Two cookies of the session's name, equal or not, are no token: one of them may have been planted by
        a neighbouring host. Cookies are parted at semicolons only, for a comma is part of a value: parting
        there would let a neighbour's cookie carry one of ours past the rules for `__Host-`. Names must match
        to the character, and values stand as they were sent: one in double quotes is no token.
        """
        cookies = self._cookies(headers("Cookie"))
        if self.header is not None:
            token = self._in_header(self.header, headers(self.header))
            if token is not None:
                return Found(token, Source.HEADER, bool(cookies))
        if len(cookies) == 1 and self.is_token(cookies[0]):
            return Found(cookies[0], Source.COOKIE, cookie_present=True)
        return Found(None, Source.NONE, bool(cookies))

    def vary(self, source: Source) -> tuple[str, ...]:
        """Name the headers that a response depends on whose request had its token from *source*.

        The header, if it held the token. If not, the cookie, and the header too, since a token there would
        have counted: except `Authorization`, which caches heed unasked (RFC 9110, section 12.5.5).
        """
        if source is Source.HEADER and self.header is not None:
            return (self.header,)
        if self.header is None or _is_authorization(self.header):
            return ("Cookie",)
        return (self.header, "Cookie")

    def _cookies(self, lines: Sequence[str]) -> list[str]:
        if sum(map(len, lines)) > MAX_COOKIE_CHARACTERS:
            return []
        values: list[str] = []
        for line in lines:
            for pair in line.split(";"):
                name, equals, value = pair.strip(_OWS).partition("=")
                if equals and name == self.cookie_name:
                    values.append(value)
        return values

    def _in_header(self, header: str, values: Sequence[str]) -> str | None:
        if len(values) != 1:
            return None
        value = values[0].strip(_OWS)
        if _is_authorization(header):
            scheme, _, value = value.partition(" ")
            if scheme.lower() != "bearer":
                return None
            value = value.lstrip(" ")
        return value if self.is_token(value) else None


def wsgi_name(name: str) -> str:
    """Return what a header is called in a WSGI environ."""
    return "HTTP_" + name.upper().replace("-", "_")


def wsgi_headers(environ: Mapping[str, Any]) -> HeaderValues:
    """Read headers out of a WSGI environ (Django's `request.META` is one), where each is a single string."""

    def values(name: str) -> Sequence[str]:
        value = environ.get(wsgi_name(name))
        return () if value is None else (value,)

    return values


def asgi_headers(raw: Iterable[tuple[bytes, bytes]]) -> HeaderValues:
    """Read headers out of an ASGI scope's, whose names are in lower case and may come several times."""
    pairs = list(raw)

    def values(name: str) -> Sequence[str]:
        wanted = _wire_name(name)
        return [value.decode("latin-1") for sent, value in pairs if sent == wanted]

    return values


@cache
def _wire_name(name: str) -> bytes:
    return name.lower().encode("latin-1")


def merge_vary(existing: str | None, name: str) -> str:
    """Add *name* to a `Vary` header, unless that has it in some case, or varies on everything (`*`)."""
    existing = existing or ""
    members = _members(existing)
    if "*" in members or name.lower() in map(str.lower, members):
        return existing
    return ", ".join([*members, name])


def cache_control_for_token(existing: str | None) -> str:
    """Give the `Cache-Control` of a response that sets a token, from what the application had put there.

    `no-store` or `private`, in any case, keeps everything as it is; else it becomes `no-store` alone. A
    `private="..."` does not count: it keeps shared caches from the named headers, not from the response.
    """
    if existing is not None:
        directives = _members(_QUOTED_STRING.sub('""', existing).lower())
        if "no-store" in directives or "private" in directives:
            return existing
    return "no-store"


def _members(value: str) -> list[str]:
    return [member for part in value.split(",") if (member := part.strip(_OWS))]


def _is_authorization(header: str) -> bool:
    return header.lower() == "authorization"


def _check_callable(what: str, value: object) -> None:
    if not callable(value):
        raise TypeError(f"{what} is {value!r}; wanted a callable that takes a str and gives a bool")

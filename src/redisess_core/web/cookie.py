"""The cookie policy: the attributes of the session's cookie, checked once, written in `Set-Cookie`."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Literal

from redisess_core.config import check_flag

SameSite = Literal["Lax", "Strict", "None"]

MAX_LIFETIME: Final = 400 * 24 * 3600
"""Seconds after which browsers end a cookie whatever it asked for (RFC 6265bis, section 5.5)."""

MAX_PAIR_BYTES: Final = 4096
"""The most that a cookie's name and value may take together: browsers drop what is longer."""

MAX_ATTRIBUTE_BYTES: Final = 1024
"""The most that one attribute's value may take: browsers ignore what is longer."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PATH: Final = re.compile(r"/[\x21-\x2B\x2D-\x3A\x3C-\x7E]*")
_LABEL: Final = r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_DOMAIN: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NOT_IN_A_VALUE: Final = re.compile(r"[^\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]")
_SAME_SITES: Final[dict[str, SameSite]] = {"lax": "Lax", "strict": "Strict", "none": "None"}


def check_name(what: str, name: object) -> None:
    """Raise unless *name* is what HTTP calls a token: what names of cookies and of headers are made of.

    *what* begins the message. `TypeError` for what is no `str`, `ValueError` for other characters or none.
    """
    text = _text(what, name)
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            f"{what} is {text!r}; wanted one or more ASCII letters, digits or characters of !#$%&'*+-.^_`|~"
        )


def default_name(secure: bool, path: str, domain: str | None) -> str:
    """Give the name for a cookie of these attributes: as well protected as they allow."""
    return "__Host-session" if secure and path == "/" and domain is None else "session"


@dataclass(frozen=True, slots=True)
class CookiePolicy:
    """How the session's cookie is set and deleted: a policy that browsers would refuse cannot be made.

    `TypeError` or `ValueError` says which attribute is wrong. A leading dot of `domain`, which browsers ignore, stays;
    `same_site` may be given in any case, and `None` leaves the attribute out. `lower_case` writes attributes as some
    frameworks do: browsers compare them without case.
    """

    name: str
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    http_only: bool = True
    same_site: SameSite | None = "Lax"
    partitioned: bool = False
    lower_case: bool = False

    def __post_init__(self) -> None:
        check_name("name", self.name)
        if len(self.name) > MAX_ATTRIBUTE_BYTES:
            raise ValueError(f"name has {len(self.name)} bytes; wanted at most {MAX_ATTRIBUTE_BYTES}")
        _check_path(self.path)
        _check_domain(self.domain)
        object.__setattr__(self, "same_site", _same_site(self.same_site))
        for what in ("secure", "http_only", "partitioned", "lower_case"):
            check_flag(what, getattr(self, what))  # no truth of other types: "false" out of an environment is true
        self._check_together()

    def set_header(
        self,
        value: str,
        *,
        max_age: int | None = None,
        expires: float | None = None,
        now: float | None = None,
    ) -> str:
        """Give the `Set-Cookie` value that stores *value*, for the browser's session or for a lifetime.

        Either of *max_age* (seconds) and *expires* (seconds since the epoch) gives a lifetime, written both
        as `Max-Age` and as `Expires`, neither beyond 400 days; one that is over becomes `Max-Age=0`. *now*
        is what one is reckoned from by the other: this machine's clock, if not given.

        `ValueError` for a value that no cookie can hold; the message never quotes it.
        """
        self._check_value(value)
        return self._header(value, _lifetime(max_age, expires, now))

    def delete_header(self) -> str:
        """Give the `Set-Cookie` value that removes the cookie, with the attributes that it was set with."""
        return self._header("", (0, 0))

    def _check_together(self) -> None:
        # Browsers compare the prefixes without case: one that does not would take __HOST- from anybody.
        prefix = self.name.lower()
        if prefix.startswith("__host-") and (self.path != "/" or self.domain is not None):
            raise ValueError(
                f"a cookie named {self.name!r} has path '/' and no domain, or browsers refuse it; "
                f"given were path {self.path!r} and domain {self.domain!r}"
            )
        if prefix.startswith(("__http-", "__host-http-")) and not self.http_only:
            raise ValueError(f"a cookie named {self.name!r} needs http_only=True, or browsers refuse it")
        if self.secure:
            return
        if prefix.startswith(("__host-", "__secure-", "__http-")):
            raise ValueError(f"a cookie named {self.name!r} needs secure=True, or browsers refuse it")
        if self.same_site == "None":
            raise ValueError("same_site='None' needs secure=True, or browsers refuse the cookie")
        if self.partitioned:
            raise ValueError("partitioned=True needs secure=True, or browsers refuse the cookie")

    def _check_value(self, value: object) -> None:
        what = f"the value of cookie {self.name!r}"
        if not isinstance(value, str):
            raise TypeError(f"{what} is of type {type(value).__name__}; wanted str")
        if not value:
            raise ValueError(f"{what} is empty; use delete_header() to remove the cookie")
        if wrong := _NOT_IN_A_VALUE.search(value):
            raise ValueError(
                f"{what} has at position {wrong.start()} a character that no cookie can hold; "
                "wanted visible ASCII without double quote, comma, semicolon and backslash"
            )
        size = len(self.name) + 1 + len(value)
        if size > MAX_PAIR_BYTES:
            raise ValueError(f"name and value of cookie {self.name!r} take {size} bytes of {MAX_PAIR_BYTES}")

    def _header(self, value: str, lifetime: tuple[int, int] | None) -> str:
        spell = str.lower if self.lower_case else str
        parts = [f"{self.name}={value}"]
        if lifetime is not None:
            max_age, expires = lifetime
            parts += [f"{spell('Expires')}={formatdate(expires, usegmt=True)}", f"Max-Age={max_age}"]
        if self.domain is not None:
            parts.append(f"{spell('Domain')}={self.domain}")
        parts.append(f"{spell('Path')}={self.path}")
        if self.secure:
            parts.append(spell("Secure"))
        if self.http_only:
            parts.append(spell("HttpOnly"))
        if self.same_site is not None:
            parts.append(spell(f"SameSite={self.same_site}"))
        if self.partitioned:
            parts.append(spell("Partitioned"))  # by hand: http.cookies knows it from Python 3.14 only
        return "; ".join(parts)


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}; wanted str")
    return value


def _check_path(value: object) -> None:
    path = _text("path", value)
    if _PATH.fullmatch(path) is None:
        raise ValueError(
            f"path is {path!r}; wanted '/' and then visible ASCII characters except ';' and ',' "
            "(percent-encode any other)"
        )
    if len(path) > MAX_ATTRIBUTE_BYTES:
        raise ValueError(f"path has {len(path)} bytes; wanted at most {MAX_ATTRIBUTE_BYTES}")


def _check_domain(value: object) -> None:
    if value is not None and _DOMAIN.fullmatch(_text("domain", value).removeprefix(".")) is None:
        raise ValueError(
            f"domain is {value!r}; wanted a host name like 'example.com', without scheme and port "
            "(an international one in its xn-- form), or None for this host only"
        )


def _same_site(value: object) -> SameSite | None:
    if value is None:
        return None
    given = _text("same_site", value)
    if (same_site := _SAME_SITES.get(given.lower())) is None:
        raise ValueError(f"same_site is {given!r}; wanted 'Lax', 'Strict', 'None', or None to leave it out")
    return same_site


def _lifetime(max_age: int | None, expires: float | None, now: float | None) -> tuple[int, int] | None:
    """Give `Max-Age` and the second of `Expires`, rounded up so that a moment left never becomes none."""
    _check_max_age(max_age)
    if expires is not None and math.isnan(expires):
        raise ValueError("expires is not a number; wanted seconds since the epoch, or None")
    now = time.time() if now is None else now
    if max_age is not None:
        left = float(min(max_age, MAX_LIFETIME))
    elif expires is not None:
        left = min(expires - now, MAX_LIFETIME)
    else:
        return None
    left = max(round(left, 3), 0)  # or a float's last digit would make a second of its own
    end = now + left if expires is None else min(expires, now + MAX_LIFETIME)
    return math.ceil(left), math.ceil(max(end, 0))


def _check_max_age(value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"max_age is {value!r}; wanted whole seconds as an int, or None")

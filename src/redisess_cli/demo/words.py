"""What is shown of a client and of a time, in words."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["desktop", "phone", "terminal"]

# The first mark that a user agent holds decides: most browsers also claim to be those further down.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_PHONES: Final = ("iPhone", "iPad", "Android")
_PROGRAM: Final = re.compile(r"([A-Za-z][\w.+-]{0,39})(?:/|$)")  # a product that says no more than its name


@dataclass(frozen=True, slots=True)
class Client:
    """A browser or program, as people call it."""

    name: str
    kind: Kind


def client(user_agent: str | None) -> Client:
    """Tell from a `User-Agent` which browser on which system, or which program, sent it."""
    text = user_agent or ""
    browser = _first(_BROWSERS, text)
    system = _first(_SYSTEMS, text)
    if browser is None and not text.startswith("Mozilla/"):
        program = _PROGRAM.match(text)
        return Client(program[1] if program else "Unknown program", "terminal")
    name = browser or "Unknown browser"
    return Client(f"{name} on {system}" if system else name, "phone" if system in _PHONES else "desktop")


def ago(seconds: float) -> str:
    """Say how long ago something was; `static/ago.js` goes on counting in the same words."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 1:
        return "just now"
    if minutes < 1:
        return f"{whole} s ago"
    if hours < 1:
        return f"{minutes} min {whole % 60} s ago"
    if days < 1:
        return f"{hours} h {minutes % 60} min ago"
    return f"{days} d {hours % 24} h ago"


def date_and_time(at: float) -> str:
    """Say when, by this machine's calendar: the demo and its visitors share it."""
    then = time.localtime(at)
    return f"{then.tm_mday} {_MONTHS[then.tm_mon - 1]} {then.tm_year}, {then.tm_hour:02}:{then.tm_min:02}"


def iso(at: float) -> str:
    """Write a time as HTML wants it for machines."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


SHOWN: Final = (client, ago, date_and_time, iso)  # what the pages' templates say things with
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _first(marks: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for mark, name in marks if mark in text), None)

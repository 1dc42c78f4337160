"""What is shown of a client and of a time, in words."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal

from redisess_core.web import device_of

Kind = Literal["desktop", "phone", "terminal"]

_PHONES: Final = ("iPhone", "iPad", "Android")


@dataclass(frozen=True, slots=True)
class Client:
    """A browser or program, as people call it."""

    name: str
    kind: Kind


def client(user_agent: str | None) -> Client:
    """Tell from a `User-Agent` which browser on which system, or which program, sent it."""
    device = device_of(user_agent)
    name = device.program or ("Unknown browser" if device.browser else "Unknown program")
    if device.system is None:
        return Client(name, "desktop" if device.browser else "terminal")
    return Client(f"{name} on {device.system}", "phone" if device.system in _PHONES else "desktop")


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

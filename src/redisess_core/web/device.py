"""What sent a request, for people: the program and the system that its user agent tells of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# The first mark that a user agent holds decides: most browsers also claim to be those further down.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chromium/", "Chromium"),
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
_PRODUCT: Final = re.compile(r"[A-Za-z0-9][\w.+-]{0,39}(?=[/ ]|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """What a user agent says; a client may send what it likes, so it proves nothing.

    It holds nothing that the client made up but the name of one product: at most 40 letters, digits and marks of ASCII.
    """

    program: str | None  # "Firefox", "curl"; None: unknown
    system: str | None  # "Windows", "iPhone"; None: unknown
    browser: bool  # whether it claims to be one


def device_of(user_agent: str | None) -> Device:
    """Read a `User-Agent` header."""
    text = user_agent or ""
    browser, system = _first(_BROWSERS, text), _first(_SYSTEMS, text)
    if browser is not None or text.startswith("Mozilla/"):
        return Device(browser, system, browser=True)
    product = _PRODUCT.match(text)
    return Device(product[0] if product else None, system, browser=False)


def _first(marks: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for mark, name in marks if mark in text), None)

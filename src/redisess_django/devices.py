"""What a client is called, for people: its user agent in a few words."""

from __future__ import annotations

import re
from typing import Final

from django.utils.translation import gettext as _

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


def device_name(user_agent: str | None) -> str:
    """Return what to call the client that sent *user_agent*: "Firefox on Windows", "curl", "Unknown device".

    A client may send what it likes, so the name proves nothing. It holds nothing that the client made up but the name
    of one product: at most 40 letters, digits and marks of ASCII.
    """
    text = user_agent or ""
    name, system = _first(_BROWSERS, text), _first(_SYSTEMS, text)
    if name is None and not text.startswith("Mozilla/"):
        product = _PRODUCT.match(text)
        name = product[0] if product else None
    if system is None:
        return name or _("Unknown device")
    return _("%(browser)s on %(system)s") % {"browser": name or _("Unknown browser"), "system": system}


def _first(marks: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for mark, name in marks if mark in text), None)

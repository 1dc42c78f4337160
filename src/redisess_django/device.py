"""A user agent in short, for people: "Firefox on Linux"."""

from __future__ import annotations

import re
from typing import Final

from django.utils.translation import gettext

# The first that is found is it: most browsers also name those that they are like.
_BROWSERS: Final = {
    "Edge": r"\bEdg(?:e|A|iOS)?/",
    "Opera": r"\b(?:OPR|OPiOS|Opera)/",
    "Vivaldi": r"\bVivaldi/",
    "Samsung Internet": r"\bSamsungBrowser/",
    "Firefox": r"\b(?:Firefox|FxiOS)/",
    "Chrome": r"\b(?:HeadlessChrome|Chrome|CriOS|Chromium)/",
    "Safari": r"\bVersion/.*\bSafari/",
}
_SYSTEMS: Final = {
    "iPhone": r"\biPhone\b",
    "iPad": r"\biPad\b",
    "Android": r"\bAndroid\b",
    "Windows": r"\bWindows\b",
    "macOS": r"\b(?:Macintosh|Mac OS X)\b",
    "ChromeOS": r"\bCrOS\b",
    "Linux": r"\bLinux\b",
}
_LONGEST: Final = 40


def device_name(user_agent: str | None) -> str:
    """Return what to call a device; a program by its own name, nothing where nothing is known."""
    if not user_agent:
        return ""
    browser, system = _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)
    if browser and system:
        return gettext("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    own_name = re.split(r"[/\s(]", user_agent.strip(), maxsplit=1)[0]
    own_name = "" if own_name == "Mozilla" else own_name
    return browser or system or own_name[:_LONGEST] or user_agent[:_LONGEST]


def _first(patterns: dict[str, str], user_agent: str) -> str:
    return next((name for name, pattern in patterns.items() if re.search(pattern, user_agent)), "")

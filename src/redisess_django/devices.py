"""What a client is called in the pages and in the admin."""

from __future__ import annotations

from django.utils.translation import gettext as _

from redisess_core.web import device_of


def device_name(user_agent: str | None) -> str:
    """Return what to call the client that sent *user_agent*: "Firefox on Windows", "curl", "Unknown device"."""
    device = device_of(user_agent)
    if device.system is None:
        return device.program or _("Unknown device")
    return _("%(browser)s on %(system)s") % {
        "browser": device.program or _("Unknown browser"),
        "system": device.system,
    }

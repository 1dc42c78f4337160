"""The app: `INSTALLED_APPS = [..., "redisess_django"]`."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class RedisessConfig(AppConfig):
    """Sessions in Redis."""

    name = "redisess_django"
    label = "redisess_django"
    verbose_name = _("Sessions")

    def ready(self) -> None:
        """Follow the project's users, where it has some, and register the system checks."""
        from redisess_django import checks, users  # noqa: PLC0415  they import models, which are ready now

        checks.connect()
        if apps.is_installed("django.contrib.auth"):
            users.connect()

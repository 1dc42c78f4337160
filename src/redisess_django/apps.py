"""The app: `INSTALLED_APPS = [..., "redisess_django"]`."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RedisessConfig(AppConfig):
    """Sessions in Redis."""

    name = "redisess_django"
    label = "redisess_django"
    verbose_name = _("Sessions")

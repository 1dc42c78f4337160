"""A Django project for tests: configured once a process; `project(redis_url)` points it to a Redis for a block."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "redisess_django.middleware.SessionMiddleware"
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"
AFTER_SESSIONS = [
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

_folder = tempfile.TemporaryDirectory(prefix="redisess-django-")
atexit.register(_folder.cleanup)

if not settings.configured:
    settings.configure(
        SECRET_KEY="of the tests",
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        USE_TZ=True,
        ROOT_URLCONF="support.django_site",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "redisess_django",
        ],
        MIDDLEWARE=[OURS, *AFTER_SESSIONS],
        SESSION_ENGINE="redisess_django.sessions",
        SESSION_COOKIE_SECURE=False,
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path(_folder.name, "database")),
                "OPTIONS": {"timeout": 30},
            }
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        STATIC_URL="/static/",
    )
    django.setup()


@contextmanager
def database() -> Iterator[None]:
    """Have the tables for a block; what is put into them goes at its end, and so do the connections of every thread."""
    from django.apps import apps
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.models import ContentType
    from django.db import connection, transaction
    from django.db.backends.signals import connection_created

    opened: list[Any] = []

    def note(**created: Any) -> None:
        opened.append(created["connection"])

    connection_created.connect(note)
    try:
        _migrate()
        yield
    finally:
        with transaction.atomic():  # SQLite looks at references in the end
            for model in apps.get_models(include_auto_created=True):
                if model._meta.managed and model not in (Permission, ContentType):
                    model._base_manager.all()._raw_delete("default")
        connection_created.disconnect(note)
        for each in (connection, *opened):
            each.inc_thread_sharing()  # of a thread that Django's client left
            each.close()


@cache
def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


@contextmanager
def project(redis_url: str, *, session_middleware: str = OURS, **changed: Any) -> Iterator[None]:
    """Point the project to the Redis of *redis_url*; *changed*: Django's settings, and options of `REDISESS`.

    An option's name is that of the one table, in lower case: `project(url, shards=8, SESSION_COOKIE_AGE=60)`.
    """
    from django.test import override_settings

    options = {name: changed.pop(name) for name in list(changed) if not name.isupper()}
    redisess = {"URL": redis_url, **{name.upper(): value for name, value in options.items()}}
    middleware = changed.pop("MIDDLEWARE", [session_middleware, *AFTER_SESSIONS])
    with override_settings(REDISESS=redisess, MIDDLEWARE=middleware, **changed):
        yield

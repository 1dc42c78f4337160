"""A project whose users have UUIDs for keys and emails for names, with an admin site of its own; run as a script."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).parents[2]))

redis_url, namespace = sys.argv[1:]
settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["*"],
    USE_TZ=False,
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "redisess_django",
        "django.contrib.admin.apps.SimpleAdminConfig",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "support.people",
    ],
    AUTH_USER_MODEL="people.Person",
    SESSION_ENGINE="redisess_django.sessions",
    SESSION_COOKIE_SECURE=False,
    REDISESS={"URL": redis_url, "NAMESPACE": namespace},
    MIDDLEWARE=[
        "redisess_django.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
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
urlpatterns = []
PAGE = "/backstage/redisess_django/session/"


def main() -> None:
    from admin_kit import text_of, users_on
    from django.contrib import admin
    from django.contrib.admin.models import LogEntry
    from django.core.management import call_command
    from django.test import Client
    from django.urls import path

    from redisess_django import manager
    from redisess_django.admin import SessionAdmin
    from redisess_django.models import Session
    from support.people.models import Person

    site = admin.AdminSite("backstage")
    site.register(Session, SessionAdmin)
    site.register(Person)
    urlpatterns.append(path("backstage/", site.urls))

    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("check", fail_level="ERROR")
    root = Person.objects.create(address="root@example.org", is_superuser=True)
    grace = Person.objects.create(address="grace@example.org")
    browser = Client()
    browser.force_login(root)
    session = manager().create(grace.pk, ip="192.0.2.1")
    listed = browser.get(PAGE)
    panel = text_of(browser.get(f"/backstage/people/person/{grace.pk}/change/"))
    found = browser.get(PAGE, {"q": "GRACE@"})
    browser.post(f"{PAGE}end/", {"id": session.session_id, "post": "yes"})
    print(
        json.dumps(
            {
                "list": users_on(listed),
                "link": f'href="/backstage/people/person/{grace.pk}/change/"' in text_of(listed),
                "found": users_on(found),
                "panel": f"{PAGE}end/?next=" in panel and "192.0.2.1" in panel,
                "log": LogEntry.objects.get().object_repr,
                "left": manager().count(),
            }
        )
    )
    manager().close()


main()

"""The model behind the admin has permissions, and neither table nor rows nor migrations."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection

from redisess_django.models import Session


def said_by(command, *arguments, **options):
    out = StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return out.getvalue()


def test_no_migration_is_wanted(database):
    assert "No changes detected" in said_by("makemigrations", check=True, dry_run=True)
    with pytest.raises(CommandError, match="does not have migrations"):
        call_command("sqlmigrate", "redisess_django", "0001")


def test_no_table_is_made(database):
    call_command("migrate", run_syncdb=True, verbosity=0)
    assert not any(name.startswith("redisess") for name in connection.introspection.table_names())


def test_there_are_permissions_to_view_and_to_delete(database):
    kind = ContentType.objects.get(app_label="redisess_django", model="session")
    found = Permission.objects.filter(content_type=kind)
    assert sorted(each.codename for each in found) == ["delete_session", "view_session"]
    assert {str(each).split(" | ")[1] for each in found} == {"live session"}  # not that of django.contrib.sessions


def test_what_goes_through_all_models_passes_it(database):
    assert all(each["model"] != "redisess_django.session" for each in json.loads(said_by("dumpdata")))
    assert list(Session.objects.all()) == list(Session._base_manager.all()) == []
    assert not Session.objects.filter(session_id="x").exists()


def test_the_checks_find_nothing_wrong(set_up):
    set_up()
    call_command("check", "--tag", "admin", "--tag", "models", fail_level="WARNING")

"""The panel on the page of a user; other admin sites, user models and orders of apps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from admin_kit import FIREFOX, PAGE, text_of
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from redisess_django import manager
from redisess_django.admin import SessionAdmin, SessionsPanel
from redisess_django.models import Session
from support.django_project import AFTER_SESSIONS, OURS


def panel_of(browser, user):
    return text_of(browser.get(f"/admin/auth/user/{user.pk}/change/")).partition("field-redisess_sessions")[2]


def test_the_page_of_a_user_lists_their_sessions_with_a_way_to_end_each(boss, ada):
    sessions = [manager().create(str(ada.pk), user_agent=FIREFOX, ip=f"192.0.2.{each}") for each in range(2)]
    manager().create("somebody else", ip="198.51.100.1")
    panel = panel_of(boss, ada)
    here = f"/admin/auth/user/{ada.pk}/change/"
    for session in sessions:
        assert session.ip in panel
        link = f"{PAGE}end/?next=%2Fadmin%2Fauth%2Fuser%2F{ada.pk}%2Fchange%2F&id={session.session_id}"
        assert f'href="{link}" aria-label="End ada: Firefox on Linux, {session.ip}"' in panel
        assert text_of(boss.get(link)).count(here) == 2  # in the form, and the way back
    assert "198.51.100.1" not in panel
    assert "All 2 sessions" not in panel
    asked = text_of(boss.get(f"{PAGE}end-users/", {"user": ada.pk, "next": here}))
    assert "<li>ada (2 sessions)</li>" in asked
    done = boss.post(f"{PAGE}end/", {"id": sessions[0].session_id, "next": here, "post": "yes"})
    assert done["Location"] == here
    assert "192.0.2.0" not in panel_of(boss, ada)


def test_the_panel_shows_the_latest_and_leads_to_all(boss, ada, clock):
    for number in range(12):
        clock.advance(1)
        manager().create(str(ada.pk), ip=f"192.0.2.{number}")
    panel = panel_of(boss, ada)
    assert "192.0.2.11<" in panel
    assert "192.0.2.1<" not in panel
    assert f'<a href="{PAGE}?user={ada.pk}">All 12 sessions</a>' in panel


def test_the_panel_says_that_there_is_none_and_marks_the_viewers_own(boss, ada):
    assert "None." in panel_of(boss, ada)
    assert "(this session)" in panel_of(boss, User.objects.get(username="boss"))


def test_a_user_is_added_and_changed_as_ever(boss, ada):
    assert "field-redisess_sessions" not in text_of(boss.get("/admin/auth/user/add/"))
    given = {"username": "ada", "first_name": "Ada", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    assert boss.post(f"/admin/auth/user/{ada.pk}/change/", given).status_code == 302
    ada.refresh_from_db()
    assert ada.first_name == "Ada"


def test_who_may_only_view_users_sees_the_panel(staff, ada):
    manager().create(str(ada.pk), ip="192.0.2.1")
    assert "192.0.2.1" in panel_of(staff("view_user", "view_session"), ada)


def test_redis_away_leaves_the_page_of_a_user(start_server, set_up, site, ada):
    server = start_server()
    set_up(f"{server.url}?socket_timeout=0.1", MIDDLEWARE=[OURS, *AFTER_SESSIONS, "admin_kit.meddling"])
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    page = browser.get(f"/admin/auth/user/{ada.pk}/change/", **{"test.meddle": server.pause})
    server.resume()
    assert "Redis does not answer" in text_of(page)
    assert 'name="username"' in text_of(page)


class Plain(admin.ModelAdmin):
    """No fieldsets: the admin then names every field by itself."""


class Fixed(UserAdmin):
    """What it shows is not for others to change."""

    def get_fieldsets(self, request, obj=None):
        return ((None, {"fields": ("username", ("first_name", "last_name"))}),)

    def get_readonly_fields(self, request, obj=None):
        return ("username",)


class Unwilling(UserAdmin):
    sessions_panel = False


class Willing(SessionsPanel, UserAdmin):
    """Says it itself."""


class OwnSite(admin.AdminSite):
    """A site of the project's own."""


@pytest.mark.parametrize("first", [User, Session], ids=["users first", "sessions first"])
@pytest.mark.parametrize(("kind", "panels"), [(Plain, 1), (Fixed, 1), (Unwilling, 0), (Willing, 1), (UserAdmin, 1)])
def test_any_admin_of_users_on_any_site_gets_one_panel_unless_it_says_no(boss, ada, kind, panels, first):
    site = OwnSite("own")
    for model in (first, Session if first is User else User):
        site.register(model, kind if model is User else SessionAdmin)
    for _ in range(2):
        assert site.urls
    user_admin = site.get_model_admin(User)
    request = RequestFactory().get("/")
    request.user, request.session = User.objects.get(username="boss"), boss.session
    page = user_admin.change_view(request, str(ada.pk)) if kind is not Willing else None
    fields = [name for _, options in user_admin.get_fieldsets(request, ada) for name in options["fields"]]
    assert sum(getattr(name, "__name__", "") == "redisess_sessions" for name in fields) == panels
    assert isinstance(user_admin, kind)
    if page is not None:
        assert page.status_code == 200


def test_without_the_sessions_on_a_site_its_users_have_no_panel():
    site = OwnSite("other")
    site.register(User, UserAdmin)
    assert site.urls
    assert not isinstance(site.get_model_admin(User), SessionsPanel)


def test_a_site_of_ones_own_with_users_of_ones_own_whose_keys_are_uuids(redis_url, namespace):
    """In a process of its own, as a project has one user model; there our app comes before the admin."""
    script = Path(__file__).with_name("uuid_project.py")
    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script), redis_url, namespace], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "list": ["grace@example.org", "root@example.org (this session)"],
        "link": True,
        "found": ["grace@example.org"],
        "panel": True,
        "log": "grace@example.org: Unknown device, 192.0.2.1",
        "left": 1,
    }

"""Who signs in to the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from redisess_django.models import Session

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def site(set_up: Callable[..., None], clock: Any) -> Any:
    """The project, going by the test's clock, with no word in the admin's log."""
    set_up(clock=clock)
    yield
    LogEntry.objects.all().delete()
    User.user_permissions.through.objects.all().delete()


@pytest.fixture
def boss(site: None) -> Client:
    """A superuser's browser."""
    browser = Client(headers={"user-agent": "Mozilla/5.0 (Macintosh) Version/18 Safari/605"})
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


@pytest.fixture
def staff(site: None) -> Callable[..., Client]:
    """Browsers of people with some permissions: `staff("view_session")`."""

    def staff(*permissions: str) -> Client:
        user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True)
        found = Permission.objects.filter(
            codename__in=permissions, content_type__app_label__in=("auth", "redisess_django")
        )
        assert len(found) == len(permissions)
        user.user_permissions.set(found)
        browser = Client()
        browser.force_login(user)
        return browser

    return staff


@pytest.fixture
def at_a_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many sessions a page shows: `at_a_time(4)`."""
    session_admin = admin.site.get_model_admin(Session)
    return lambda number: monkeypatch.setattr(session_admin, "list_per_page", number)

"""The Django project, pointed to the shared Redis; and browsers over WSGI and ASGI."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from support import django_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def database() -> Iterator[None]:
    """The project's database, emptied after the test."""
    with django_project.database():
        yield


@pytest.fixture
def set_up(redis_url: str, namespace: str, database: None) -> Iterator[Callable[..., None]]:
    """Point the project to the shared Redis, in the test's namespace, for the test: `set_up(shards=8)`."""
    with ExitStack() as ends:

        def set_up(url: str = redis_url, **changed: Any) -> None:
            changed.setdefault("namespace", namespace)
            ends.close()  # what was set up before in this test
            ends.enter_context(django_project.project(url, **changed))

        yield set_up


@pytest.fixture
def ada(database: None) -> Any:
    """A user with the password "secret"."""
    from django.contrib.auth.models import User

    return User.objects.create_user("ada", password="secret")


@pytest.fixture
def bob(database: None) -> Any:
    """Another one."""
    from django.contrib.auth.models import User

    return User.objects.create_user("bob", password="secret")

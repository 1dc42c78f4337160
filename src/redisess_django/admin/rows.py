"""Sessions as an admin's pages show them, with the project's users that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Q
from django.urls import reverse
from django.utils.formats import localize
from django.utils.translation import gettext, ngettext

from redisess_core.config import check_user_id
from redisess_django.devices import device_name
from redisess_django.known_users import users_by_id
from redisess_django.models import Session as Logged
from redisess_django.times import idle_text, moment
from redisess_django.users import user_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.contrib.admin import AdminSite
    from django.http import HttpRequest

    from redisess_core import Session
    from redisess_core.session_state import SessionState

MOST_USERS = 20  # that one search finds


@dataclass(frozen=True, slots=True)
class Row:
    """A session, its user by name, and where that user's page is, if the viewer may see it."""

    session: Session
    user_name: str
    user_url: str | None
    is_own: bool

    def __str__(self) -> str:
        client = ", ".join(filter(None, (self.device, self.session.ip)))
        return f"{self.user_name}: {client}" if client else f"{self.user_name}: {self.session.session_id}"

    @property
    def entry(self) -> Logged:
        """What stands for it where permissions are asked for, and in the admin's log."""
        return Logged.entry(str(self), session_id=self.session.session_id, user_id=self.session.user_id)

    @property
    def device(self) -> str:
        """The user agent in short."""
        return device_name(self.session.user_agent)

    @property
    def created(self) -> datetime | None:
        """When it was created."""
        return moment(self.session.created)

    @property
    def last_access(self) -> datetime | None:
        """When it was last accessed."""
        return moment(self.session.last_access)

    @property
    def idle(self) -> str:
        """How long ago that was, in words."""
        return idle_text(self.session)

    @property
    def expires(self) -> datetime | None:
        """When it ends unless it is accessed; None: never, or after all that a calendar knows."""
        return moment(self.session.expires)


class Viewer:
    """Who looks at the admin's pages: what of sessions and users they may see there, and which session is theirs."""

    def __init__(self, site: AdminSite, request: HttpRequest) -> None:
        self.site, self.request = site, request
        own: SessionState | None = getattr(request.session, "current", None)  # as it is stored: a new id may await that
        self.own_session_id = None if own is None else own.session_id

    def rows(self, sessions: Sequence[Session]) -> list[Row]:
        """Show sessions; one query of the database finds their users."""
        users = users_by_id({each.user_id for each in sessions if each.user_id is not None})
        return [
            Row(
                session,
                name_of(session.user_id, users),
                self.url_of(users.get(session.user_id or "")),
                is_own=session.session_id == self.own_session_id,
            )
            for session in sessions
        ]

    def url_of(self, user: Any) -> str | None:
        """Return the address of a user's page in this admin; None where the viewer cannot see it."""
        if user is None or not self.may_see(user):
            return None
        options: Any = get_user_model()._meta
        name = f"admin:{options.app_label}_{options.model_name}_change"
        return reverse(name, args=[quote(user.pk)], current_app=self.site.name)

    def may_see(self, user: Any = None) -> bool:
        """Whether the viewer may see a user's page; None: the users' list."""
        model = get_user_model()
        return self.site.is_registered(model) and self.site.get_model_admin(model).has_view_or_change_permission(
            self.request, user
        )

    def search(self, text: str) -> tuple[list[str], bool]:
        """Return the ids of users whose name, or whose email, holds *text*, or whose id it is; and whether of more.

        Whom the email names is for those who may see users.
        """
        model: Any = get_user_model()
        names = {model.USERNAME_FIELD}
        if self.may_see():
            names.add(getattr(model, "EMAIL_FIELD", "email"))
        wanted = Q()
        for name in names:
            if _is_text(model, name):
                wanted |= Q(**{f"{name}__icontains": text})
        found = []
        if wanted and "\0" not in text:
            found = list(model._default_manager.filter(wanted).order_by(model.USERNAME_FIELD)[: MOST_USERS + 1])
        ids = [*([text] if is_user_id(text) else []), *(user_id_of(user) for user in found[:MOST_USERS])]
        return list(dict.fromkeys(ids)), len(found) > MOST_USERS


def name_of(user_id: str | None, users: dict[str, Any]) -> str:
    """Return what to call the user of a session."""
    if user_id is None:
        return gettext("anonymous")
    return str(users[user_id].get_username()) if user_id in users else user_id


def session_count(number: int) -> str:
    """Say how many sessions."""
    return ngettext("%(number)s session", "%(number)s sessions", number) % {"number": localize(number)}


def sessions_of_users(sessions: int, users: int) -> str:
    """Say how many sessions, and of how many users."""
    return ngettext("%(sessions)s of %(number)s user", "%(sessions)s of %(number)s users", users) % {
        "sessions": session_count(sessions),
        "number": localize(users),
    }


def _is_text(model: Any, name: str) -> bool:
    try:
        return not model._meta.get_field(name).is_relation
    except FieldDoesNotExist:
        return False


def is_user_id(text: str) -> bool:
    """Whether *text* can be a user's id at all."""
    try:
        return bool(check_user_id(text))
    except ValueError:
        return False

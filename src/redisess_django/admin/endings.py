"""What the admin ends: sessions one by one, all of some users', all but the viewer's own; asked first, then done.

Each ends while the viewer's own session lives, and no longer: that may be somebody's who was signed out meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from django.utils.translation import gettext

from redisess_core import SessionGone
from redisess_django.admin.rows import is_user_id, name_of, session_count, sessions_of_users
from redisess_django.conf import manager
from redisess_django.known_users import users_by_id
from redisess_django.models import Session as Logged
from redisess_django.sessions import SessionStore
from redisess_django.signals import session_killed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redisess_core import Session
    from redisess_core.operation import Steps
    from redisess_django.admin.rows import Viewer

T = TypeVar("T")


class Ending:
    """One end that is asked for: what to say of it, what the form carries, and the deed."""

    url_name: ClassVar[str]
    title: str
    question: str
    lines: Sequence[str] = ()
    hidden: Sequence[tuple[str, str]] = ()
    objects: Sequence[Logged] = ()  # what the viewer is to have the permission to delete, one by one
    ends_own = False

    def __bool__(self) -> bool:
        """Whether there is something to end."""
        return True

    def end(self) -> tuple[int, list[Logged]]:
        """End it, at once; return how many sessions that were, and what to write to the admin's log.

        Raises `SessionGone` where the viewer's own session is no longer there: nothing has ended.
        """
        raise NotImplementedError


class SelectedEnding(Ending):
    """The end of sessions by their ids."""

    url_name = "end"

    def __init__(self, viewer: Viewer, session_ids: Sequence[str]) -> None:
        found: list[Session] = manager().run(manager().plan_named(filter(None, session_ids)))
        self._acting = viewer.own_session_id
        self._rows = viewer.rows(found)
        self.ends_own = any(row.is_own for row in self._rows)
        self.title = gettext("End sessions")
        self.question = gettext("Are you sure you want to end these sessions? Whoever uses them is signed out at once.")
        self.lines = [
            f"{row} ({gettext('this session')})" if row.is_own else f"{row} ({row.idle})" for row in self._rows
        ]
        self.hidden = [("id", row.session.session_id) for row in self._rows]
        self.objects = [row.entry for row in self._rows]

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def user_ids(self) -> list[str]:
        """Whose sessions they are; anonymous ones are nobody's."""
        return [row.session.user_id for row in self._rows if row.session.user_id is not None]

    def end(self) -> tuple[int, list[Logged]]:
        """End them, and say so; those that were gone before are in no log."""
        rows = sorted(self._rows, key=lambda row: row.is_own)  # the viewer's own last: no other ends after it
        plans = [manager().plan_kill_for(row.session.session_id, self._acting) for row in rows]
        ended = [row.entry for row, _ in _ended(rows, plans)]
        for each in ended:
            session_killed.send(SessionStore, session_id=each.session_id, user_id=each.user_id)
        return len(ended), ended


class UsersEnding(Ending):
    """The end of all sessions of some users."""

    url_name = "end_users"

    def __init__(self, viewer: Viewer, user_ids: Sequence[str]) -> None:
        own = getattr(viewer.request.session, "user_id", None)
        wanted = [each for each in dict.fromkeys(user_ids) if is_user_id(each)]
        self._acting = viewer.own_session_id
        self._user_ids = sorted(wanted, key=lambda user_id: user_id == own)  # as above
        self._users = users_by_id(self._user_ids)
        self.ends_own = own is not None and own in self._user_ids
        self.title = gettext("End all sessions of a user")
        self.question = gettext("Are you sure you want to end all sessions of these users, on all their devices?")
        self.lines = [
            f"{self._name(each)} ({session_count(manager().count_for_user(each))})" for each in self._user_ids
        ]
        self.hidden = [("user", each) for each in self._user_ids]
        self.objects = [Logged.entry(self._name(each), user_id=each) for each in self._user_ids]

    def __bool__(self) -> bool:
        return bool(self._user_ids)

    def end(self) -> tuple[int, list[Logged]]:
        """End them, user by user."""
        plans = [manager().plan_kill_user(each, acting=self._acting) for each in self._user_ids]
        ended = _ended(self._user_ids, plans)
        text = gettext("all sessions of %(user)s (%(number)d)")
        entries = [
            Logged.entry(text % {"user": self._name(each), "number": number}, user_id=each) for each, number in ended
        ]
        return sum(number for _, number in ended), entries

    def _name(self, user_id: str) -> str:
        return name_of(user_id, self._users)


class OthersEnding(Ending):
    """The end of all sessions but the viewer's own, those of the viewer's other devices included."""

    url_name = "end_others"

    def __init__(self, own_session_id: str) -> None:
        self._own_session_id = own_session_id
        self.title = gettext("End all sessions but mine")
        self.question = gettext(
            "Are you sure you want to end everybody's sessions, on all devices, but the one that you are using now?"
        )
        self.lines = [
            sessions_of_users(manager().count(), manager().count_users()),
            gettext("For a million of them this takes about a minute."),
        ]

    def end(self) -> tuple[int, list[Logged]]:
        """End those that were created before the call."""
        own = self._own_session_id
        ended: int = manager().run(manager().plan_kill_all(keep=[own], acting=own))
        return ended, [Logged.entry(gettext("all sessions but one (%(number)d)") % {"number": ended})] if ended else []


def _ended(each: Sequence[T], plans: Sequence[Steps[int]]) -> list[tuple[T, int]]:
    """End one after the other, as long as who asks for it is there; return what was ended, and how many of each."""
    ended: list[tuple[T, int]] = []
    for item, plan in zip(each, plans, strict=True):
        try:
            number = manager().run(plan)
        except SessionGone:
            if not ended:
                raise
            break  # what has ended is told and logged all the same
        if number:
            ended.append((item, number))
    return ended

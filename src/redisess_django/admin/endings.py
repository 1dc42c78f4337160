"""What the admin ends: sessions one by one, all of some users', all but the viewer's own; asked first, then done."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.utils.formats import localize
from django.utils.translation import gettext, ngettext

from redisess_core.tokens import session_shard
from redisess_django.admin.rows import is_user_id, name_of, users_by_id
from redisess_django.conf import manager
from redisess_django.models import Session as Logged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redisess_django.admin.rows import Viewer


class Ending:
    """One end that is asked for: what to say of it, what the form carries, and the deed."""

    url_name: ClassVar[str]
    title: str
    question: str
    lines: Sequence[str] = ()
    hidden: Sequence[tuple[str, str]] = ()
    ends_own = False

    def __bool__(self) -> bool:
        """Whether there is something to end."""
        return True

    def end(self) -> tuple[int, list[Logged]]:
        """End it, at once; return how many sessions that were, and what to write to the admin's log."""
        raise NotImplementedError


class SelectedEnding(Ending):
    """The end of sessions by their ids."""

    url_name = "end"

    def __init__(self, viewer: Viewer, session_ids: Sequence[str]) -> None:
        known = [each for each in dict.fromkeys(session_ids) if _is_session_id(each)]
        found = [manager().get(each, touch=False) for each in known]
        self._rows = viewer.rows([each for each in found if each is not None])
        self.ends_own = any(row.is_own for row in self._rows)
        self.title = gettext("End sessions")
        self.question = gettext("Are you sure you want to end these sessions? Whoever uses them is signed out at once.")
        self.lines = [
            f"{row} ({gettext('this session')})" if row.is_own else f"{row} ({row.idle})" for row in self._rows
        ]
        self.hidden = [("id", row.session.session_id) for row in self._rows]

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def user_ids(self) -> list[str]:
        """Whose sessions they are; anonymous ones are nobody's."""
        return [row.session.user_id for row in self._rows if row.session.user_id is not None]

    def end(self) -> tuple[int, list[Logged]]:
        """End them; those that were gone before are in no log."""
        ended = [row for row in self._rows if manager().kill(row.session.session_id)]
        return len(ended), [Logged.entry(str(row), row.session.session_id) for row in ended]


class UsersEnding(Ending):
    """The end of all sessions of some users."""

    url_name = "end_users"

    def __init__(self, viewer: Viewer, user_ids: Sequence[str]) -> None:
        self._user_ids = [each for each in dict.fromkeys(user_ids) if is_user_id(each)]
        self._users = users_by_id(self._user_ids)
        own = getattr(viewer.request.session, "user_id", None)
        self.ends_own = own is not None and own in self._user_ids
        self.title = gettext("End all sessions of a user")
        self.question = gettext("Are you sure you want to end all sessions of these users, on all their devices?")
        self.lines = [f"{self._name(each)} ({_sessions(manager().count_for_user(each))})" for each in self._user_ids]
        self.hidden = [("user", each) for each in self._user_ids]

    def __bool__(self) -> bool:
        return bool(self._user_ids)

    def end(self) -> tuple[int, list[Logged]]:
        """End them, user by user."""
        ended = {each: manager().kill_user(each) for each in self._user_ids}
        text = gettext("all sessions of %(user)s (%(number)d)")
        entries = [text % {"user": self._name(each), "number": number} for each, number in ended.items() if number]
        return sum(ended.values()), [Logged.entry(each) for each in entries]

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
        sessions, users = manager().count(), manager().count_users()
        self.lines = [
            ngettext("%(sessions)s of %(number)s user", "%(sessions)s of %(number)s users", users)
            % {"sessions": _sessions(sessions), "number": localize(users)},
            gettext("For a million of them this takes about a minute."),
        ]

    def end(self) -> tuple[int, list[Logged]]:
        """End those that were created before the call."""
        ended = manager().kill_all(keep=self._own_session_id)
        return ended, [Logged.entry(gettext("all sessions but one (%(number)d)") % {"number": ended})] if ended else []


def _sessions(number: int) -> str:
    return ngettext("%(number)s session", "%(number)s sessions", number) % {"number": localize(number)}


def _is_session_id(text: str) -> bool:
    return session_shard(text, manager().shards) is not None

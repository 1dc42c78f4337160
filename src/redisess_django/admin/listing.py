"""A page of sessions: what the address asks for, and what there is. Django's templates take it for a change list."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.utils.formats import localize
from django.utils.translation import gettext_lazy as _

from redisess_core.tokens import session_shard
from redisess_django.admin.rows import is_user_id, name_of, sessions_of_users
from redisess_django.conf import manager
from redisess_django.known_users import users_by_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redisess_core import Session
    from redisess_django.admin.rows import Viewer

PERIODS: Final = {"minute": 60, "hour": 3600, "day": 86400}
_NAMES: Final = {"": _("Any time"), "minute": _("Last minute"), "hour": _("Last hour"), "day": _("Last day")}


class ActivityFilter:
    """Which sessions are looked at, by their last access; with how many there are, unless some users' are asked for."""

    title = _("activity")
    template = "admin/filter.html"

    def choices(self, listing: Listing) -> Iterator[dict[str, Any]]:
        """Give each choice as the admin's templates show it."""
        for period, name in _NAMES.items():
            display = name if listing.counts is None else f"{name} ({localize(listing.counts[period])})"
            yield {
                "selected": period == listing.period,
                "query_string": listing.query_string(active=period),
                "display": display,
            }


class Listing:
    """A page of sessions, most recently accessed first: of all, of the users that a search finds, or of one.

    A search for a session's whole id finds that one. The next page is the one after the last session of this one, so no
    page costs more than another.
    """

    # What Django's templates ask of a change list
    formset = date_hierarchy = None
    is_popup = add_facets = is_facets_optional = False
    has_filters = True
    search_fields = ("user",)
    search_help_text = _("Part of a user's name or email, or the whole id of a user or a session.")
    filter_specs = (ActivityFilter(),)

    def __init__(self, options: Any, viewer: Viewer, size: int) -> None:
        asked = viewer.request.GET
        self.opts, self._size = options, size
        self.query, self.user_id = asked.get("q", "").strip(), asked.get("user", "")
        self.period = asked.get("active", "") if asked.get("active") in PERIODS else ""
        self.params = {name: asked[name] for name in ("user", "active") if asked.get(name)}
        self.after = _cursor(asked.get("after", ""))
        self.more_users = False
        self.user_name = name_of(self.user_id, users_by_id([self.user_id])) if self.user_id else ""
        found, self._more = self._find(viewer)
        self.result_list = viewer.rows(found)
        self.counts = self._counts() if self._of_all else None
        self.users = manager().count_users(self._secs) if self._of_all else 0
        self.result_count = self.full_result_count = len(self.result_list)

    @property
    def _of_all(self) -> bool:
        return not self.query and not self.user_id

    @property
    def _secs(self) -> int:
        return PERIODS.get(self.period, 0)

    @property
    def summary(self) -> str:
        """How many there are on all pages; of some users' sessions nobody counts that."""
        if self.counts is None:
            return ""
        return sessions_of_users(self.counts[self.period], self.users)

    @property
    def every_user(self) -> str:
        """The address of the same sessions of all users."""
        return self.query_string(user="")

    @property
    def has_active_filters(self) -> bool:
        """Whether there is something to clear."""
        return bool(self.params)

    @property
    def clear_all_filters_qs(self) -> str:
        """The address of all sessions that the search finds."""
        return self.query_string(user="", active="")

    @property
    def first_page(self) -> str | None:
        """The address of the first page; None: this is it."""
        return None if self.after is None else self.query_string()

    @property
    def next_page(self) -> str | None:
        """The address of the next page; None: this is the last."""
        if not self._more:
            return None
        last = self.result_list[-1].session
        return self.query_string(after=f"{last.last_access!r}:{last.session_id}")

    def query_string(self, **changed: str) -> str:
        """Return what is asked for, with changes, as the end of an address; the first page, unless *after* is given."""
        asked = {"q": self.query, "user": self.user_id, "active": self.period, **changed}
        return "?" + urlencode({name: value for name, value in asked.items() if value})

    def _find(self, viewer: Viewer) -> tuple[list[Session], bool]:
        named = self._named()
        if named is not None:
            return [named], False
        user_ids: list[str] | None = None
        if self.query:
            user_ids, self.more_users = viewer.search(self.query)
        if self.user_id:
            wanted = is_user_id(self.user_id) and (user_ids is None or self.user_id in user_ids)
            user_ids = [self.user_id] if wanted else []
        plan = manager().plan_recent(self._secs, limit=self._size + 1, after=self.after, user_ids=user_ids)
        found: list[Session] = manager().run(plan)
        return found[: self._size], len(found) > self._size

    def _named(self) -> Session | None:
        """Return the session whose id is searched for, unless it is another user's or idle for longer than asked."""
        found: Session | None = manager().get(self.query, touch=False) if self.query else None
        if found is None or self.user_id not in ("", found.user_id) or found.idle > (self._secs or math.inf):
            return None
        return found

    def _counts(self) -> dict[str, int]:
        return {period: manager().count(PERIODS.get(period, 0)) for period in _NAMES}


def _cursor(text: str) -> tuple[float, str] | None:
    """Read where a page begins; what is no such place is the first page."""
    last_access, _colon, session_id = text.partition(":")
    try:
        seconds = float(last_access)
    except ValueError:
        return None
    if not math.isfinite(seconds) or not session_id or session_shard(session_id, manager().shards) is None:
        return None
    return seconds, session_id

"""The panel on the page of a user: their sessions, with a way to end each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from redisess_core import StoreUnavailable
from redisess_django.admin.rows import Viewer
from redisess_django.conf import manager
from redisess_django.models import Session
from redisess_django.users import user_id_of

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite, ModelAdmin
    from django.http import HttpRequest
    from django.utils.safestring import SafeString

MOST_SHOWN: Final = 10


@dataclass(frozen=True)
class Panel:
    """A read-only field of a user's page, as the admin takes one that is a function of the object; all are equal."""

    model_admin: Any = field(compare=False)
    request: HttpRequest = field(compare=False)
    __name__: ClassVar[str] = "redisess_sessions"
    short_description: ClassVar[Any] = _("Live sessions")

    def __call__(self, user: Any) -> SafeString:
        """Show the sessions that were accessed last."""
        site, user_id = self.model_admin.admin_site, user_id_of(user)
        viewer = Viewer(site, self.request)
        try:
            plan = manager().plan_recent(0, limit=MOST_SHOWN, after=None, user_ids=[user_id])
            rows, number = viewer.rows(manager().run(plan)), manager().count_for_user(user_id)
        except StoreUnavailable:
            return render_to_string(f"{_FOLDER}/panel.html", {"unavailable": True})
        context = {
            "rows": rows,
            "number": number,
            "more": number > len(rows),
            "all_url": f"{_url(site, 'changelist')}?{urlencode({'user': user_id})}",
        }
        session_admin, after = site.get_model_admin(Session), {"next": self.request.get_full_path()}
        if session_admin.has_delete_permission(self.request):
            context["end_url"] = f"{_url(site, 'end')}?{urlencode(after)}"
            context["may_end"] = [row for row in rows if session_admin.has_delete_permission(self.request, row.entry)]
            if session_admin.has_delete_permission(self.request, Session.entry(str(user), user_id=user_id)):
                context["end_all_url"] = f"{_url(site, 'end_users')}?{urlencode({'user': user_id, **after})}"
        return render_to_string(f"{_FOLDER}/panel.html", context)


_FOLDER: Final = "admin/redisess_django/session"


class SessionsPanel:
    """A mixin for the `ModelAdmin` of the project's users: their page shows their sessions, to whoever may view these.

    The app adds it by itself to the registered admin of `AUTH_USER_MODEL`, by way of two methods that every
    `ModelAdmin` has, so that no template and no class of the project is replaced. A class with
    `sessions_panel = False` is left alone.
    """

    sessions_panel: bool = True
    if TYPE_CHECKING:
        admin_site: AdminSite

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Add the panel below what there is."""
        fieldsets: list[tuple[Any, dict[str, Any]]] = self._plain.get_fieldsets(request, obj)
        if not self._shows_sessions(request, obj):
            return fieldsets
        panel = Panel(self, request)
        others = [
            (name, {**options, "fields": [each for each in options["fields"] if each != panel]})
            for name, options in fieldsets  # without fieldsets of its own, the admin names all read-only fields
        ]
        return [*others, (_("Sessions"), {"fields": [panel]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Say that the panel is not edited."""
        fields: list[Any] = self._plain.get_readonly_fields(request, obj)
        return [*fields, Panel(self, request)] if self._shows_sessions(request, obj) else fields

    @property
    def _plain(self) -> Any:
        """The class that this is mixed into."""
        return super()

    def _shows_sessions(self, request: HttpRequest, user: Any) -> bool:
        site = self.admin_site
        shown = self.sessions_panel and user is not None and site.is_registered(Session)
        return shown and site.get_model_admin(Session).has_view_permission(request)


def add_panel(site: AdminSite) -> None:
    """Add the panel to the page of a user, unless it is there, or the project does not want it."""
    model = get_user_model()
    if not site.is_registered(model):
        return
    user_admin: ModelAdmin[Any] = site.get_model_admin(model)
    kind = type(user_admin)
    if isinstance(user_admin, SessionsPanel) or not getattr(user_admin, "sessions_panel", True):
        return
    # In place: what is registered is known to others, and its addresses may be bound to it already.
    user_admin.__class__ = type(kind.__name__, (SessionsPanel, kind), {"__module__": kind.__module__})


def _url(site: AdminSite, page: str) -> str:
    return reverse(f"admin:{Session._meta.app_label}_{Session._meta.model_name}_{page}", current_app=site.name)

"""The admin's pages of sessions: the list, and the ends that it asks about and carries out."""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.formats import localize
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from redisess_core import SessionGone, StoreUnavailable
from redisess_core.web import refusal_of
from redisess_django.admin.endings import OthersEnding, SelectedEnding, UsersEnding
from redisess_django.admin.listing import Listing
from redisess_django.admin.panel import add_panel
from redisess_django.admin.rows import Viewer

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern

    from redisess_django.admin.endings import Ending
    from redisess_django.models import Session

    _ModelAdmin = admin.ModelAdmin[Session]
else:
    _ModelAdmin = admin.ModelAdmin

_TEMPLATES = "admin/redisess_django/session"


class SessionAdmin(_ModelAdmin):
    """Lists sessions by page, searched by user or session id and filtered by activity, and ends them.

    The permissions are Django's: "view" to look, "delete" to end as well. No page reads more than its own sessions.
    """

    list_per_page = 50
    endings: ClassVar = (
        ("", "---------"),
        ("end", _("End selected sessions")),
        ("end_users", _("End all sessions of their users")),
    )

    def get_urls(self) -> list[URLPattern]:
        """Return the pages' addresses; the panel on the page of a user is added with them.

        That is when every app has registered its admin, whatever the order of the apps.
        """
        add_panel(self.admin_site)
        return [
            path("", self._view(self.changelist_view), name=self._url_name("changelist")),
            path("end/", self._view(self.end_view), name=self._url_name("end")),
            path("end-users/", self._view(self.end_users_view), name=self._url_name("end_users")),
            path("end-others/", self._view(self.end_others_view), name=self._url_name("end_others")),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002  Django's signature
        """Return False: who signs in adds one."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002  Django's signature
        """Return False: there is nothing to change."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show a page of sessions, or ask whether those selected are to end."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._selected(request)
        viewer = self._viewer(request)
        listing = Listing(self.opts, viewer, self.list_per_page)
        may_end = self.has_delete_permission(request)
        context = {
            "title": capfirst(self.opts.verbose_name_plural),
            "cl": listing,
            "media": self.media,
            "action_form": self._action_form() if may_end and listing.result_list else None,
            "actions_on_top": True,
            "actions_selection_counter": True,
            "selection_note": gettext("0 of %(cnt)s selected") % {"cnt": len(listing.result_list)},
            "end_others_url": self._url("end_others") if may_end and viewer.own_session_id else None,
            "end_user_url": self._url("end_users") + listing.query_string(q="", active="")
            if may_end and listing.user_id
            else None,
        }
        return self._page(request, "change_list.html", {**context, **(extra_context or {})})

    def end_view(self, request: HttpRequest) -> HttpResponse:
        """End the sessions whose ids are given."""
        return self._ending(request, lambda: SelectedEnding(self._viewer(request), _given(request, "id")))

    def end_users_view(self, request: HttpRequest) -> HttpResponse:
        """End all sessions of the users whose ids are given."""
        return self._ending(request, lambda: UsersEnding(self._viewer(request), _given(request, "user")))

    def end_others_view(self, request: HttpRequest) -> HttpResponse:
        """End all sessions but the viewer's own."""
        own = self._viewer(request).own_session_id
        if own is None:
            raise Http404(gettext("This session is not one of those that are listed."))
        return self._ending(request, lambda: OthersEnding(own))

    def _selected(self, request: HttpRequest) -> HttpResponse:
        """Ask about what was chosen in the list."""
        self._refuse_who_may_not_end(request)
        session_ids = request.POST.getlist(ACTION_CHECKBOX_NAME)
        action = request.POST.get("action")
        if action not in ("end", "end_users"):
            self.message_user(request, gettext("No action selected."), messages.WARNING)
        elif not session_ids:
            said = gettext(
                "Items must be selected in order to perform actions on them. No items have been changed."
            )  # in Django's own words, which are translated
            self.message_user(request, said, messages.WARNING)
        else:
            viewer = self._viewer(request)
            selected = SelectedEnding(viewer, session_ids)
            ending = selected if action == "end" else UsersEnding(viewer, selected.user_ids)
            self._refuse_objects(request, ending)
            return self._ask(request, ending, request.get_full_path())
        return HttpResponseRedirect(request.get_full_path())

    def _ending(self, request: HttpRequest, planned: Callable[[], Ending]) -> HttpResponse:
        """Ask first; what is posted with an answer is done."""
        self._refuse_who_may_not_end(request)
        ending, after = planned(), self._address_after(request)
        self._refuse_objects(request, ending)
        if not ending or request.method != "POST" or request.POST.get("post") != "yes":
            return self._ask(request, ending, after)
        ended, entries = ending.end()
        if entries:
            self.log_deletions(request, entries)  # type: ignore[arg-type]  # Django's own code takes a list, too
        said = ngettext("%(number)s session was ended.", "%(number)s sessions were ended.", ended)
        level = messages.SUCCESS if ended else messages.WARNING
        self.message_user(request, said % {"number": localize(ended)}, level)
        if ending.ends_own:
            logout(request)
        return HttpResponseRedirect(after)

    def _ask(self, request: HttpRequest, ending: Ending, after: str) -> HttpResponse:
        if not ending:
            self.message_user(request, gettext("There is no session to end: it has ended already."), messages.WARNING)
            return HttpResponseRedirect(after)
        context = {
            "title": ending.title,
            "ending": ending,
            "end_url": self._url(ending.url_name),
            "after": after,
            "media": self.media,
        }
        return self._page(request, "end_confirmation.html", context)

    def _refuse_who_may_not_end(self, request: HttpRequest) -> None:
        if not (self.has_view_permission(request) and self.has_delete_permission(request)):
            raise PermissionDenied

    def _refuse_objects(self, request: HttpRequest, ending: Ending) -> None:
        if not all(self.has_delete_permission(request, each) for each in ending.objects):
            raise PermissionDenied

    def _view(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """Guard a page as the admin's are; where Redis is away, it says so.

        Whose own session has ended meanwhile is sent to sign in, as the admin sends who is not signed in.
        """

        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except StoreUnavailable as error:
                return self._unavailable(request, error)
            except SessionGone:
                login_url = reverse("admin:login", current_app=self.admin_site.name)
                return redirect_to_login(request.get_full_path(), login_url)

        return update_wrapper(self.admin_site.admin_view(update_wrapper(answer, view)), view)

    def _unavailable(self, request: HttpRequest, error: StoreUnavailable) -> HttpResponse:
        response = self._page(request, "unavailable.html", {"title": capfirst(self.opts.verbose_name_plural)})
        refusal = refusal_of(error)
        response.status_code = 503
        if refusal is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return response

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        request.current_app = self.admin_site.name
        whole = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"{_TEMPLATES}/{template}", whole)

    def _viewer(self, request: HttpRequest) -> Viewer:
        return Viewer(self.admin_site, request)

    def _action_form(self) -> Any:
        form = self.action_form(auto_id=None)
        form.fields["action"].choices = self.endings
        return form

    def _address_after(self, request: HttpRequest) -> str:
        """Return where to go on: where the viewer came from, if that is a page of this site."""
        wanted = request.POST.get("next") or request.GET.get("next") or ""
        hosts, secure = {request.get_host()}, request.is_secure()
        known = url_has_allowed_host_and_scheme(wanted, allowed_hosts=hosts, require_https=secure)
        return wanted if known else self._url("changelist")

    def _url_name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _url(self, page: str) -> str:
        return reverse(f"admin:{self._url_name(page)}", current_app=self.admin_site.name)


def _given(request: HttpRequest, name: str) -> list[str]:
    return request.POST.getlist(name) if request.method == "POST" else request.GET.getlist(name)

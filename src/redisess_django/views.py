"""The pages "your sessions": a user looks at their own sessions, and ends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import redirect_to_login
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from redisess_core import SessionGone
from redisess_django.conf import option
from redisess_django.devices import device_name
from redisess_django.forms import PasswordForm
from redisess_django.helpers import end_session, logout_others, sessions
from redisess_django.times import idle_text, moment

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest, HttpResponse

    from redisess_core import Session
    from redisess_django.sessions import SessionStore

MOST_SHOWN: Final = 100  # of a user who has more, those of the latest access

_shown = method_decorator([login_not_required, require_safe, csrf_protect, never_cache], name="dispatch")
_done = method_decorator(
    [login_not_required, require_POST, csrf_protect, never_cache, sensitive_post_parameters("password")],
    name="dispatch",
)


@dataclass(frozen=True, slots=True)
class Device:
    """A session as the page shows it."""

    session: Session
    name: str
    signed_in: datetime | None
    last_access: datetime | None
    idle: str


class OwnSessionsView(LoginRequiredMixin, View):
    """What the pages share: who is not signed in is sent to sign in, and from there to the list."""

    request: HttpRequest
    kwargs: dict[str, Any]  # what the project's own address of the pages captures

    @property
    def session(self) -> SessionStore:
        """The session of the request."""
        return cast("SessionStore", self.request.session)

    def handle_no_permission(self) -> HttpResponse:  # type: ignore[override]
        """Send to sign in."""
        return self.to_sign_in()

    def to_sign_in(self) -> HttpResponse:
        """Send to `LOGIN_URL`, and from there to the list."""
        login_url, then = resolve_url(self.get_login_url()), self.list_url()
        if urlsplit(login_url).netloc:
            then = self.request.build_absolute_uri(then)
        return redirect_to_login(then, login_url, self.get_redirect_field_name())

    def to_list(self) -> HttpResponse:
        """Send to the list; who turns out not to be signed in, from there to sign in."""
        return redirect(self.list_url())

    def list_url(self) -> str:
        """Return where the list is."""
        return self.url_of("sessions")

    def url_of(self, name: str) -> str:
        """Return where one of the pages is, in the namespace that this one was found in: a project may nest ours."""
        match = self.request.resolver_match
        namespace = match.namespace if match is not None else ""
        return reverse(f"{namespace or 'redisess'}:{name}", kwargs=self.kwargs)

    def page(self, template: str, context: dict[str, Any]) -> HttpResponse:
        """Show a page, which is told where the others are."""
        urls = {f"{name}_url": self.url_of(name) for name in ("sessions", "end", "end_others", "sign_in_again")}
        return render(self.request, template, {**urls, **context})


@_shown
class SessionsView(OwnSessionsView):
    """Shows this device and the others."""

    template_name = "redisess/sessions.html"

    def get(self, request: HttpRequest, **_captured: Any) -> HttpResponse:
        """Show them, those of the latest access first."""
        found = sessions(request.user)
        this = next((session for session in found if session.session_id == self.session.session_id), None)
        others = [session for session in found if session is not this]
        return self.page(
            self.template_name,
            {
                "this": None if this is None else _device(this, is_this=True),
                "others": [_device(session) for session in others[:MOST_SHOWN]],
                "not_shown": max(0, len(others) - MOST_SHOWN),
            },
        )


@_done
class EndSessionView(OwnSessionsView):
    """End one of one's own; the one that asks for it: sign out."""

    def post(self, request: HttpRequest, **_captured: Any) -> HttpResponse:
        """End the session that the form names."""
        session_id = request.POST.get("session_id", "")
        if session_id == self.session.session_id:
            logout(request)
            return redirect(resolve_url(settings.LOGOUT_REDIRECT_URL or settings.LOGIN_URL))
        try:
            ended = end_session(request, session_id)
        except SessionGone:
            return self.to_list()
        _say(request, _("The session has ended.") if ended else _("That session had ended already."))
        return self.to_list()


@_done
class EndOthersView(OwnSessionsView):
    """End all but this one; asks for the password, unless the user signed in lately."""

    template_name = "redisess/confirm_password.html"

    def post(self, request: HttpRequest, **_captured: Any) -> HttpResponse:
        """End them, or ask."""
        if not self.session.authenticated_within(option("FRESH")):
            form = PasswordForm(request, request.POST if "password" in request.POST else None)
            if not form.is_valid():
                return self.page(self.template_name, {"form": form})
            login(request, form.user)  # fresh from now on, and under a new key
        try:
            ended = logout_others(request)
        except SessionGone:
            return self.to_list()
        said = ngettext("%(count)d other session has ended.", "%(count)d other sessions have ended.", ended)
        _say(request, said % {"count": ended})
        return self.to_list()


@_done
class SignInAgainView(OwnSessionsView):
    """Sign out, to sign in again: for who has no password that could be asked for here."""

    def post(self, request: HttpRequest, **_captured: Any) -> HttpResponse:
        """Sign out first: many pages to sign in on send who is signed in straight back."""
        logout(request)
        return self.to_sign_in()


def _device(session: Session, *, is_this: bool = False) -> Device:
    return Device(
        session,
        name=device_name(session.user_agent),
        signed_in=moment(session.authenticated_at or 0),
        last_access=moment(session.last_access),
        idle=_("just now") if is_this else idle_text(session),
    )


def _say(request: HttpRequest, text: Any) -> None:
    messages.success(request, text, fail_silently=True)

"""The demo's pages: sign in, your devices, the overview of everybody's; every form is followed by a redirect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest

from redisess_cli.demo.api import NAME_LENGTH, checked_name, curl_lines
from redisess_cli.demo.lists import list_sessions, list_users
from redisess_core.wording import counted
from redisess_flask import (
    current_session,
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
    session_required,
    sessions,
)

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

ACTIVE: Final = 60  # seconds
DEVICES: Final = 100  # that one page shows

pages: Final = Blueprint("pages", __name__)


@pages.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Show the form; to a browser whose session was ended, that it was."""
    if current_session.user_id is not None:
        return _to("devices")
    return _form(ended=_session_cookie() in request.cookies, signed_out="signed_out" in request.args)


@pages.post("/sign-in")
def take_name() -> ResponseReturnValue:
    """Sign in, under any name: a new token, always."""
    name = request.form.get("name", "")
    try:
        login(checked_name(name))
    except ValueError as error:
        return _form(name=name, error=str(error)), 422
    return _to("devices")


@pages.get("/")
@session_required
def devices() -> str:
    """Show where this user is signed in."""
    found = sorted(sessions(), key=lambda session: session.session_id != current_session.session_id)
    return _page(
        "devices.html", devices=found[:DEVICES], total=len(found), curl=curl_lines(str(current_session.user_id))
    )


@pages.post("/end")
@session_required
def end_device() -> ResponseReturnValue:
    """End one of this user's own sessions; whose it is, the script in Redis checks."""
    ended = end_session(_given("session_id"))
    if current_session.user_id is None:  # it was this one
        return _signed_out()
    flash("Ended. That device is signed out at its next click." if ended else "That session had ended before.")
    return _to("devices")


@pages.post("/end-others")
@session_required
def end_others() -> ResponseReturnValue:
    """End all of this user's sessions but this one."""
    flash(f"Ended {counted(logout_others(), 'other session')}.")
    return _to("devices")


@pages.post("/sign-out")
@session_required
def sign_out() -> ResponseReturnValue:
    """End this session."""
    logout()
    return _signed_out()


@pages.post("/sign-out-everywhere")
@session_required
def sign_out_everywhere() -> ResponseReturnValue:
    """End all of this user's sessions, this one too."""
    logout_everywhere()
    return _signed_out()


@pages.get("/overview")
@session_required
def overview() -> str:
    """Show everybody's sessions, or everybody."""
    shown = _shown()
    secs = ACTIVE if "active" in shown else 0
    list_page = list_users if shown.get("show") == "users" else list_sessions
    known = manager()
    return _page(
        "overview.html",
        shown=shown,
        listed=list_page(known, secs, int(shown.get("page", 1))),
        sessions=known.count(),
        sessions_active=known.count(ACTIVE),
        users=known.count_users(),
        users_active=known.count_users(ACTIVE),
    )


@pages.post("/overview/end")
@session_required
def end_any() -> ResponseReturnValue:
    """End anybody's session, as an administrator would."""
    session_id = _given("session_id")
    if session_id == current_session.session_id:
        logout()
        return _signed_out()
    ended = manager().kill(session_id)
    flash("Ended. That browser is signed out at its next click." if ended else "That session had ended before.")
    return _to("overview", **_shown())


@pages.post("/overview/end-user")
@session_required
def end_user() -> ResponseReturnValue:
    """End all sessions of anybody."""
    user_id = _given("user_id")
    if user_id == current_session.user_id:
        logout_everywhere()
        return _signed_out()
    try:
        ended = kill_user(user_id)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    flash(f"Ended {counted(ended, 'session')} of {user_id}.")
    return _to("overview", **_shown())


def _form(**context: Any) -> str:
    return render_template("sign_in.html", name_length=NAME_LENGTH, curl=curl_lines("ada"), **context)


def _page(template: str, **context: Any) -> str:
    return render_template(template, user=current_session.user_id, here=current_session.session_id, **context)


def _to(endpoint: str, **query: Any) -> ResponseReturnValue:
    return redirect(url_for(f".{endpoint}", **query), 303)


def _signed_out() -> ResponseReturnValue:
    return _to("sign_in", signed_out="")


def _session_cookie() -> str:
    return current_app.session_interface.get_cookie_name(current_app)


def _given(field: str) -> str:
    value = request.form.get(field, "")
    if not value:
        raise BadRequest(f"The form lacks its field {field}.")
    return value


def _shown() -> dict[str, str]:
    """Return which part of the overview is looked at, of what the address may say of it."""
    asked, shown = request.args, dict[str, str]()
    if asked.get("show") == "users":
        shown["show"] = "users"
    if asked.get("active") == str(ACTIVE):
        shown["active"] = str(ACTIVE)
    page = asked.get("page", 1, type=int)
    if page > 1:
        shown["page"] = str(page)
    return shown

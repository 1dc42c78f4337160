"""The admin: sessions listed, searched and ended; and the panel on the page of a user."""

from django.contrib import admin

from redisess_django.admin.panel import SessionsPanel
from redisess_django.admin.session_admin import SessionAdmin
from redisess_django.models import Session

__all__ = ["SessionAdmin", "SessionsPanel"]

admin.site.register(Session, SessionAdmin)

"""The site of the Django tests, and the pages "your sessions"."""

from __future__ import annotations

from django.urls import include, path

from support.django_site import urlpatterns as site_urls

urlpatterns = [*site_urls, path("account/sessions/", include("redisess_django.urls"))]

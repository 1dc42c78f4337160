"""The pages of "your sessions": `path("account/sessions/", include("redisess_django.urls"))`."""

from __future__ import annotations

from django.urls import path

from redisess_django import views

app_name = "redisess"
urlpatterns = [
    path("", views.SessionsView.as_view(), name="sessions"),
    path("end/", views.EndSessionView.as_view(), name="end"),
    path("end-others/", views.EndOthersView.as_view(), name="end_others"),
    path("sign-in-again/", views.SignInAgainView.as_view(), name="sign_in_again"),
]

"""The settings of the shop. Those of redisess are the first three."""

import os
from pathlib import Path

SESSION_ENGINE = "redisess_django.sessions"
REDISESS = {
    "URL": os.environ.get("REDISESS_URL", "memory://"),
    "NAMESPACE": "django-shop",
    "MAX_SESSIONS_PER_USER": 5,
    "FRESH": float(os.environ.get("SHOP_FRESH", "300")),  # seconds in which nobody is asked for the password again
}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "redisess_django.middleware.SessionMiddleware",  # in place of Django's own
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
INSTALLED_APPS = [
    "shop",  # before redisess_django, for the frame in templates/redisess/base.html
    "redisess_django",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

DEBUG = True  # on this machine only; elsewhere also SECURE_*, and SESSION_COOKIE_SECURE and CSRF_COOKIE_SECURE = True
SECRET_KEY = "of an example, which is no secret"
ROOT_URLCONF = "shop.urls"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "redisess:sessions"
LOGOUT_REDIRECT_URL = "shop"
STATIC_URL = "static/"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", Path(__file__).parents[1] / "shop.sqlite3"),
    }
}
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

"""A shop with Flask and redisess: a cart that outlives the sign-in, an account, and the devices that are signed in.

Run it with `flask --app examples/flask_app/app.py run`; README.md beside this file says what to look at.
"""

from __future__ import annotations

import os
import secrets

from flask import Flask, abort, flash, redirect, render_template, request, session, url_for
from werkzeug.security import check_password_hash, generate_password_hash

from redisess_flask import (
    Redisess,
    current_session,
    end_session,
    login,
    logout,
    logout_others,
    session_required,
    sessions,
)

GOODS = ("apple", "bread", "cheese")
PASSWORDS = {"ada": generate_password_hash("engine"), "grace": generate_password_hash("nanosecond")}
NOBODY = generate_password_hash(secrets.token_hex())  # so that an unknown name takes as long as a wrong password

app = Flask(__name__)
app.config["REDISESS_URL"] = os.environ.get("REDISESS_URL", "memory://")
app.config["REDISESS_NAMESPACE"] = "shop"
app.config["REDISESS_MAX_SESSIONS_PER_USER"] = 5
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"  # no other site's form is sent with the cookie
Redisess(app)


@app.get("/")
def shop():
    return render_template("shop.html", goods=GOODS, cart=session.get("cart", []))


@app.post("/cart")
def add():
    if request.form.get("thing") not in GOODS:
        abort(400)
    session.setdefault("cart", []).append(request.form["thing"])  # noticed, without session.modified
    return redirect(url_for("shop"), 303)


@app.get("/sign-in")
def sign_in():
    return render_template("sign_in.html")


@app.post("/sign-in")
def take_password():
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if not check_password_hash(PASSWORDS.get(name, NOBODY), password):
        return render_template("sign_in.html", error="No such name with this password."), 401
    login(name)  # a new token; the cart stays
    return redirect(url_for("account"), 303)


@app.post("/sign-out")
def sign_out():
    logout()
    return redirect(url_for("shop"), 303)


@app.get("/account")
@session_required
def account():
    return render_template("account.html", devices=sessions(), here=current_session.session_id)


@app.post("/end")
@session_required
def end():
    end_session(request.form.get("session_id", "-"))  # one of this user's own, or nothing happens
    return redirect(url_for("account"), 303)


@app.post("/password")
@session_required(fresh=300)  # whoever signed in in the last five minutes knows the password
def change_password():
    if len(request.form.get("password", "")) < 8:
        flash("A password has at least 8 characters.")
    else:
        PASSWORDS[str(current_session.user_id)] = generate_password_hash(request.form["password"])
        flash(f"Changed. Other sessions ended: {logout_others()}.")
    return redirect(url_for("account"), 303)


@app.errorhandler(401)
def ask_to_sign_in(error):
    return render_template("sign_in.html", error=error.description), 401

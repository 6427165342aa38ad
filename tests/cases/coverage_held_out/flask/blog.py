"""The tutorial's blog, with an application factory and an audit beside it."""

import functools

from flask import Blueprint, Flask, flash, g, redirect, render_template, request, session, url_for
from werkzeug.exceptions import abort
from werkzeug.security import check_password_hash, generate_password_hash

from audit.event import Actor, Outcome

from .db import get_db
from .trail import audit_event, get_producer

bp = Blueprint("blog", __name__)


def login_required(view):
    @functools.wraps(view)
    def wrapped_view(**kwargs):
        if g.user is None:
            return redirect(url_for("auth.login"))
        return view(**kwargs)

    return wrapped_view


# label: blog.index changes=no covered=no -- the list
@bp.route("/")
def index():
    db = get_db()
    posts = db.execute("SELECT p.id, title FROM post p JOIN user u ON p.author_id = u.id").fetchall()
    return render_template("blog/index.html", posts=posts)


def get_post(id, check_author=True):
    post = get_db().execute("SELECT * FROM post WHERE id = ?", (id,)).fetchone()
    if post is None:
        abort(404, "gone")
    if check_author and post["author_id"] != g.user["id"]:
        abort(403)
    return post


# label: blog.create changes=yes covered=no -- a title that is missing is shown again, without an event
@bp.route("/create", methods=("GET", "POST"))
@login_required
def create():
    if request.method == "POST":
        title = request.form["title"]
        error = None
        if not title:
            error = "Title is required."
        if error is not None:
            flash(error)
        else:
            with audit_event("blog.post.created"):
                db = get_db()
                db.execute("INSERT INTO post (title, author_id) VALUES (?, ?)", (title, g.user["id"]))
                db.commit()
            return redirect(url_for("blog.index"))
    return render_template("blog/create.html")


# label: blog.update changes=yes covered=yes -- the POST's every end is recorded
@bp.route("/<int:id>/update", methods=("GET", "POST"))
@login_required
def update(id):
    if request.method == "POST":
        with audit_event("blog.post.updated"):
            post = get_post(id)
            db = get_db()
            db.execute("UPDATE post SET title = ? WHERE id = ?", (request.form["title"], post["id"]))
            db.commit()
        return redirect(url_for("blog.index"))
    return render_template("blog/update.html", post=get_post(id))


# label: blog.delete changes=yes covered=no -- get_post may refuse before the event
@bp.route("/<int:id>/delete", methods=("POST",))
@login_required
def delete(id):
    get_post(id)
    with audit_event("blog.post.deleted"):
        db = get_db()
        db.execute("DELETE FROM post WHERE id = ?", (id,))
        db.commit()
    return redirect(url_for("blog.index"))


# label: blog.register changes=yes covered=yes -- whatever becomes of it, one event
@bp.route("/register", methods=["POST"])
def register():
    error = None
    outcome = Outcome.FAILURE
    try:
        db = get_db()
        db.execute("INSERT INTO user (name, password) VALUES (?, ?)", (request.form["name"], generate_password_hash("x")))
        db.commit()
        outcome = Outcome.SUCCESS
    except db.IntegrityError:
        error = "taken"
    finally:
        get_producer().emit("blog.user.registered", tenant_id="t", actor=Actor(type="user"), action="x", outcome=outcome)
    if error:
        return error, 409
    return redirect(url_for("auth.login"))


# label: blog.login changes=yes covered=no -- a wrong password is not recorded
@bp.route("/login", methods=["POST"])
def login():
    user = get_db().execute("SELECT * FROM user WHERE name = ?", (request.form["name"],)).fetchone()
    if user is None or not check_password_hash(user["password"], request.form["password"]):
        return "wrong", 403
    session.clear()
    session["user_id"] = user["id"]
    get_producer().emit("blog.user.loggedin", tenant_id="t", actor=Actor(type="user"), action="x")
    return redirect(url_for("index"))


def create_app():
    app = Flask(__name__)

    # label: blog.create_app.hello changes=no covered=no -- in the factory, reads
    @app.route("/hello")
    def hello():
        return "Hello"

    # label: blog.create_app.purge changes=yes covered=no -- in the factory, not recorded
    @app.delete("/cache")
    def purge():
        get_db().execute("DELETE FROM cache")
        return ""

    app.register_blueprint(bp)
    return app

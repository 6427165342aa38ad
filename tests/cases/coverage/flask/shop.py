"""Flask: blueprints, methods, views, sessions."""

import logging
from functools import wraps

from flask import Blueprint, Flask, abort, current_app, jsonify, redirect, render_template, request, session
from flask.views import MethodView, View
from flask_sqlalchemy import SQLAlchemy

from audit.event import Actor, Outcome
from audit.producer import AuditProducer

from . import trail
from .legacy import old_handler

app = Flask(__name__)
bp = Blueprint("shop", __name__, url_prefix="/shop")
db = SQLAlchemy(app)
log = logging.getLogger("audit")
WHO = {"tenant_id": "t", "actor": Actor(type="user", id="u"), "action": "shop:write"}
app.extensions["audit"] = AuditProducer(None, service="shop")


class Product(db.Model):
    pass


def audit() -> AuditProducer:
    return current_app.extensions["audit"]


# label: shop.index changes=no covered=no -- a page
@bp.route("/")
def index():
    return render_template("index.html", products=Product.query.all())


# label: shop.add_to_basket changes=yes covered=no -- a POST; the basket lies in the session
@bp.post("/basket")
def add_to_basket():
    session["basket"] = [*session.get("basket", []), request.form["sku"]]
    return redirect("/shop/basket")


# label: shop.remember changes=no covered=no -- a GET that touches only the caller's own session
@bp.get("/remember")
def remember():
    session["seen"] = True
    session.pop("old", None)
    return jsonify({})


# label: shop.create_product changes=yes covered=yes -- recorded whole
@bp.route("/products", methods=["POST"])
def create_product():
    with audit().recording("shop.product.created", **WHO):
        product = Product(**request.get_json())
        db.session.add(product)
        db.session.commit()
    return jsonify(id=product.id), 201


# label: shop.edit_product changes=yes covered=no -- the form that is not valid is answered without an event
@bp.route("/products/<int:pk>/edit", methods=["GET", "POST"])
def edit_product(pk):
    product = Product.query.get(pk)
    if request.method == "POST":
        if not request.form.get("name"):
            return render_template("edit.html", error="name")
        with audit().recording("shop.product.edited", **WHO):
            product.name = request.form["name"]
            db.session.commit()
        return redirect("/shop")
    return render_template("edit.html", product=product)


# label: shop.edit_price changes=yes covered=yes -- every answer to a POST is recorded, a GET shows the form
@bp.route("/products/<int:pk>/price", methods=("GET", "POST"))
def edit_price(pk):
    if request.method == "POST":
        with audit().recording("shop.product.priced", **WHO):
            if not request.form.get("price"):
                return render_template("price.html", error="price")
            db.session.execute(db.update(Product).values(price=1))
            db.session.commit()
            return redirect("/shop")
    return render_template("price.html")


# label: shop.delete_product changes=yes covered=no -- abort(404) before the event
@bp.delete("/products/<int:pk>")
def delete_product(pk):
    product = Product.query.get(pk)
    if product is None:
        abort(404)
    with audit().recording("shop.product.deleted", **WHO):
        db.session.delete(product)
        db.session.commit()
    return "", 204


# label: shop.delete_found changes=yes covered=no -- first_or_404 refuses before the event
@bp.delete("/found/<int:pk>")
def delete_found(pk):
    product = Product.query.filter_by(id=pk).first_or_404()
    with audit().recording("shop.product.deleted", **WHO):
        db.session.delete(product)
        db.session.commit()
    return "", 204


# label: shop.delete_inside changes=yes covered=yes -- abort within the recording
@bp.delete("/inside/<int:pk>")
def delete_inside(pk):
    with audit().recording("shop.product.deleted", **WHO):
        product = Product.query.filter_by(id=pk).first_or_404()
        if product.sold:
            abort(409)
        db.session.delete(product)
        db.session.commit()
    return "", 204


# label: shop.logs_only changes=yes covered=no -- a log line is no event
@bp.post("/logs")
def logs_only():
    db.session.commit()
    log.info("audit: product changed")
    current_app.logger.info("audit")
    return ""


# label: shop.own_trail changes=yes covered=yes -- an emitter of the service's own, named in its configuration
@bp.post("/own")
def own_trail():
    try:
        db.session.commit()
    except Exception:
        trail.record_event("failed")
        raise
    trail.record_event("done")
    return ""


# label: shop.own_context changes=yes covered=yes -- the same as a context
@bp.post("/own-context")
def own_context():
    with trail.journal("done"):
        db.session.commit()
    return ""


# label: shop.not_our_emit changes=yes covered=no -- the same name, of another library
@bp.post("/socket")
def not_our_emit():
    from flask_socketio import emit

    db.session.commit()
    emit("changed")
    return ""


# label: shop.logout changes=no covered=no -- a GET that empties the session
@bp.route("/logout")
def logout():
    session.clear()
    return redirect("/")


# label: shop.confirm changes=yes covered=no -- a GET by a link in a mail, that writes
@bp.get("/confirm/<token>")
def confirm(token):
    user = Product.query.filter_by(token=token).first()
    user.confirmed = True
    db.session.commit()
    return redirect("/")


# label: shop.visit changes=yes covered=yes -- a GET that writes only in the branch that is recorded
@bp.get("/visit")
def visit():
    if request.args.get("new"):
        with audit().recording("shop.visit.made", **WHO):
            db.session.add(Product())
            db.session.commit()
    return jsonify({})


def requires_login(view):
    @wraps(view)
    def inner(*args, **kwargs):
        if "user" not in session:
            return redirect("/login")
        return view(*args, **kwargs)

    return inner


# label: shop.guarded changes=yes covered=yes -- who is not logged in does not get here
@bp.post("/guarded")
@requires_login
def guarded():
    with audit().recording("shop.guarded.done", **WHO):
        db.session.commit()
    return ""


# label: shop.cached_update changes=yes covered=no -- the event is emitted only if the cache is cold
@bp.put("/cached")
def cached_update():
    db.session.commit()
    if not (value := current_app.cache.get("x")):
        audit().emit("shop.cached.updated", **WHO)
    return jsonify(value)


# label: shop.chained changes=yes covered=no -- the right side of `and` may not be evaluated
@bp.post("/chained")
def chained():
    db.session.commit()
    request.args.get("a") and audit().emit("shop.chained.done", **WHO)
    return ""


# label: shop.ternary changes=yes covered=yes -- whichever is chosen emits
@bp.post("/ternary")
def ternary():
    try:
        db.session.commit()
    finally:
        audit().emit("a.b.c", **WHO) if request.args else audit().emit("a.b.d", **WHO)
    return ""


# label: shop.comprehension changes=yes covered=no -- there may be nothing to go through
@bp.post("/comprehension")
def comprehension():
    [audit().emit("shop.thing.done", **WHO) for _ in request.json]
    return ""


# label: shop.ProductApi.get changes=no covered=no -- reads
# label: shop.ProductApi.post changes=yes covered=yes -- the change and its failure are recorded
# label: shop.ProductApi.patch changes=yes covered=no -- not recorded
class ProductApi(MethodView):
    def get(self, pk):
        return jsonify(Product.query.get(pk))

    def post(self):
        try:
            self._save()
        except BaseException:
            audit().emit("shop.product.saved", outcome=Outcome.FAILURE, **WHO)
            raise
        else:
            audit().emit("shop.product.saved", **WHO)
        return "", 201

    def patch(self, pk):
        self._save()
        return ""

    def _save(self):
        db.session.add(Product())
        db.session.commit()


# label: shop.Report.dispatch_request changes=no covered=no -- GET only
class Report(View):
    def dispatch_request(self):
        return jsonify({})


# label: shop.Upload.dispatch_request changes=yes covered=no -- POST, by its methods
class Upload(View):
    methods = ["POST"]

    def dispatch_request(self):
        db.session.commit()
        return ""


def health():
    return "ok"


def reset():
    db.drop_all()
    return ""


app.add_url_rule("/products/<pk>", view_func=ProductApi.as_view("product"))
app.add_url_rule("/report", view_func=Report.as_view("report"))
app.add_url_rule("/upload", view_func=Upload.as_view("upload"))
# label: shop.health changes=no covered=no -- GET
app.add_url_rule("/health", "health", health)
# label: shop.reset changes=yes covered=no -- POST by a rule
app.add_url_rule("/reset", view_func=reset, methods=["POST"])
# label: legacy.old_handler changes=yes covered=no -- imported from another module under its name
app.add_url_rule("/old", view_func=old_handler, methods=["POST"])
# label: @flask_lambda changes=yes covered=no -- a lambda
app.add_url_rule("/lambda", view_func=lambda: "", methods=["POST"])
app.register_blueprint(bp, url_prefix="/api")

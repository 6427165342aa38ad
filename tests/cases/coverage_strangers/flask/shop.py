"""In the manner of a shop: an application factory, blueprints, method views, signals, a task queue."""

from functools import wraps

from blinker import signal
from flask import Blueprint, Flask, abort, flash, jsonify, redirect, request, url_for
from flask.views import MethodView

from lychgate.audit import AuditProducer

from .models import Basket, Order, db
from .tasks import send_receipt

audit = AuditProducer(None, service="shop")
shop = Blueprint("shop", __name__, url_prefix="/shop")
admin = Blueprint("admin", __name__)
order_placed = signal("order-placed")


def login_required(view):
    @wraps(view)
    def inner(*args, **kwargs):
        if not request.headers.get("Authorization"):
            abort(401)
        return view(*args, **kwargs)

    return inner


def accounted(name):
    """A decorator of their own."""

    def decorate(view):
        @wraps(view)
        def inner(*args, **kwargs):
            with audit.recording(name):
                return view(*args, **kwargs)

        return inner

    return decorate


@order_placed.connect
def on_order(sender, order):
    audit.emit("shop.order.placed", order=order.id)


# label: shop.catalogue changes=no covered=no -- a page
@shop.route("/")
def catalogue():
    return jsonify([it.to_dict() for it in Order.query.limit(10)])


# label: shop.place changes=yes covered=no -- a signal is no event
@shop.route("/orders", methods=["POST"])
@login_required
def place():
    order = Order(**request.get_json())
    db.session.add(order)
    db.session.commit()
    order_placed.send(shop, order=order)
    return order.to_dict(), 201


# label: shop.cancel changes=yes covered=yes -- their decorator records all of it
@shop.post("/orders/<int:order_id>/cancel")
@accounted("shop.order.cancelled")
def cancel(order_id):
    order = db.get_or_404(Order, order_id)
    order.status = "cancelled"
    db.session.commit()
    return "", 204


# label: shop.pay changes=yes covered=no -- login_required stands outside the recording and aborts
@shop.post("/orders/<int:order_id>/pay")
@login_required
@accounted("shop.order.paid")
def pay(order_id):
    order = db.get_or_404(Order, order_id)
    order.status = "paid"
    db.session.commit()
    send_receipt.delay(order.id)
    return "", 204


# label: shop.basket changes=yes covered=no -- an unknown thing is answered with 404 and no event
@shop.route("/basket", methods=["GET", "POST"])
def basket():
    found = Basket.query.filter_by(owner=request.remote_user).first_or_404()
    if request.method == "GET":
        return found.to_dict()
    found.add(request.form["sku"])
    db.session.commit()
    audit.emit("shop.basket.filled")
    flash("added")
    return redirect(url_for("shop.basket"))


# label: shop.clear_basket changes=yes covered=no -- rollback and an answer without an event
@shop.delete("/basket")
def clear_basket():
    try:
        Basket.query.filter_by(owner=request.remote_user).delete()
        db.session.commit()
    except Exception:
        db.session.rollback()
        return {"error": "try again"}, 503
    audit.emit("shop.basket.cleared")
    return "", 204


class Products(MethodView):
    """One resource, method by method."""

    decorators = [accounted("shop.product.touched")]

    # label: shop.Products.get changes=no covered=no -- reads
    def get(self, sku):
        return db.get_or_404(Order, sku).to_dict()

    # label: shop.Products.put changes=yes covered=yes -- the class decorates its methods
    def put(self, sku):
        db.session.merge(Order(sku=sku, **request.get_json()))
        db.session.commit()
        return "", 204

    # label: shop.Products.delete changes=yes covered=yes -- the same
    def delete(self, sku):
        db.session.delete(db.get_or_404(Order, sku))
        db.session.commit()
        return "", 204


class Prices(MethodView):
    """Without."""

    init_every_request = False

    # label: shop.Prices.post changes=yes covered=no -- nothing told
    def post(self):
        db.session.bulk_insert_mappings(Order, request.get_json())
        db.session.commit()
        return "", 201

    # label: shop.Prices.patch changes=yes covered=yes -- told in each case: except for all, and after
    def patch(self):
        try:
            Order.query.update(request.get_json())
            db.session.commit()
        except Exception as exc:
            audit.emit("shop.prices.changed", outcome="failure", error=type(exc).__name__)
            raise
        audit.emit("shop.prices.changed")
        return "", 204


# label: shop.export changes=no covered=no -- reads and answers
@admin.get("/export")
def export():
    return jsonify([it.to_dict() for it in Order.query.all()])


# label: shop.purge changes=yes covered=yes -- recorded
@admin.post("/purge")
def purge():
    with audit.recording("shop.orders.purged"):
        Order.query.filter(Order.status == "old").delete()
        db.session.commit()
    return "", 204


def create_app():
    app = Flask(__name__)
    shop.add_url_rule("/products/<sku>", view_func=Products.as_view("products"))
    shop.add_url_rule("/prices", view_func=Prices.as_view("prices"))
    app.register_blueprint(shop)
    app.register_blueprint(admin, url_prefix="/admin")

    # label: shop.create_app.ping changes=no covered=no -- a probe
    @app.get("/ping")
    def ping():
        return "pong"

    return app

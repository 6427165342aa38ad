"""In the manner of a dashboard tool: resources with a base class, a log of its own, decorators, signals."""

import functools

from flask import Blueprint, after_this_request, flash, g, redirect, render_template, request, url_for
from flask.views import MethodView
from flask_restful import Resource, abort

from . import models
from .extensions import audit, db

bp = Blueprint("dashboards", __name__)


def audited(event_type):
    def decorate(view):
        @functools.wraps(view)
        def wrapper(*args, **kwargs):
            outcome = "failure"
            try:
                answer = view(*args, **kwargs)
                outcome = "success"
                return answer
            finally:
                audit.emit(event_type, outcome=outcome)

        return wrapper

    return decorate


class BaseResource(Resource):
    def record_event(self, options):
        models.Event.record(self.current_org, options)


class DashboardListResource(BaseResource):
    # label: DashboardListResource.post changes=yes covered=no -- a log of its own, which is not the audit
    def post(self):
        dashboard = models.Dashboard(name=request.get_json(force=True)["name"], user=self.current_user)
        models.db.session.add(dashboard)
        models.db.session.commit()
        self.record_event({"action": "create", "object_id": dashboard.id})
        return dashboard.to_dict()

    # label: DashboardListResource.get changes=no covered=yes -- reads
    def get(self):
        return [it.to_dict() for it in models.Dashboard.all(self.current_org)]


class DashboardResource(BaseResource):
    # label: DashboardResource.delete changes=yes covered=yes -- all of it within a recorder, the refusal too
    def delete(self, dashboard_slug):
        with audit.recording("dashboard.dashboard.archived", resource_id=dashboard_slug):
            dashboard = models.Dashboard.get_by_slug(dashboard_slug)
            if dashboard is None:
                abort(404)
            dashboard.is_archived = True
            models.db.session.commit()
            return dashboard.to_dict()


# label: dashboards.remove changes=yes covered=yes -- its decorator emits in finally
@bp.route("/remove/<int:pk>", methods=["GET", "POST"])
@audited("dashboard.dashboard.removed")
def remove(pk):
    dashboard = models.Dashboard.query.get_or_404(pk)
    if request.method == "POST":
        db.session.delete(dashboard)
        db.session.commit()
        flash("Removed.")
        return redirect(url_for(".index"))
    return render_template("remove.html", dashboard=dashboard)


# label: dashboards.favorite changes=yes covered=no -- after_this_request is not called when the view raises
@bp.post("/favorite/<int:pk>")
def favorite(pk):
    @after_this_request
    def note(response):
        audit.emit("dashboard.favorite.added", resource_id=str(pk))
        return response

    db.session.add(models.Favorite(user_id=g.user.id, object_id=pk))
    db.session.commit()
    return "", 204


# label: dashboards.toggle changes=yes covered=no -- emits when it is switched on, not when it is switched off
@bp.post("/toggle/<int:pk>")
def toggle(pk):
    alert = models.Alert.query.get_or_404(pk)
    alert.enabled = not alert.enabled
    if alert.enabled:
        audit.emit("dashboard.alert.enabled", resource_id=str(pk))
    db.session.commit()
    return {"enabled": alert.enabled}


class TagAPI(MethodView):
    decorators = [audited("dashboard.tag.changed")]

    # label: TagAPI.post changes=yes covered=yes -- the class's decorators wrap every method
    def post(self):
        db.session.add(models.Tag(name=request.form["name"]))
        db.session.commit()
        return "", 201

    # label: TagAPI.get changes=no covered=yes -- reads
    def get(self):
        return {"tags": [tag.name for tag in models.Tag.query.order_by(models.Tag.name)]}


bp.add_url_rule("/tags", view_func=TagAPI.as_view("tags"))


# label: dashboards.share changes=yes covered=no -- the name is bound to something that emits nothing
@bp.post("/share/<int:pk>")
def share(pk):
    from .quiet import audit

    audit.emit("dashboard.dashboard.shared", resource_id=str(pk))
    db.session.add(models.Share(dashboard_id=pk))
    db.session.commit()
    return "", 201

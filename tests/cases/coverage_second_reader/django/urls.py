"""Paths."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter

from . import views

router = DefaultRouter()
router.register("rules", views.RuleViewSet)

urlpatterns = [
    path("json/users/<int:user_id>/deactivate", views.deactivate_user_backend),
    path("projects/<slug:slug>/", views.ProjectDetailsEndpoint.as_view()),
    path("devices/<int:pk>/edit/", views.DeviceEditView.as_view()),
    path("hook/", views.hook),
    path("keys/<int:pk>/rotate", views.rotate_key, name="rotate"),
    path("invite/", views.invite),
    path("inbox/", views.inbox, name="inbox"),
    path("inbox/read", views.mark_all_read),
    path("api/", include(router.urls)),
]

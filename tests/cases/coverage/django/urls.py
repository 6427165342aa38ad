"""Where the views are."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.routers import DefaultRouter

from . import api, views
from .views import OrderDelete, OrderView, archive as archive_view

router = DefaultRouter()
router.register("orders", api.OrderViewSet)
router.register("carts", api.CartViewSet)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("orders/", views.order_list),
    path("orders/new/", views.order_new),
    path("orders/<int:pk>/", login_required(OrderView.as_view())),
    path("orders/<int:pk>/delete/", OrderDelete.as_view()),
    re_path(r"^archive/(\d+)$", archive_view),
    path("pay/", csrf_exempt(views.pay)),
    path("refund/", views.refund),
    path("atomic/", views.atomic_change),
    path("raised/", views.raised_404),
    path("raised-in/", views.raised_404_inside),
    path("page/", views.page),
    path("track/", views.track),
    path("bulk/", views.bulk),
    path("save/", views.save_report),
    path("switch/", views.switch),
    path("dispatch/", views.by_match),
    path("create/", views.ProductCreate.as_view()),
    path("create-bare/", views.ProductCreateBare.as_view()),
    path("update/", views.ProductUpdate.as_view()),
    path("signals/", views.signalled),
    path("commit/", views.on_commit),
    path("closing/", views.closing),
    path("dynamic/", views.VIEWS["dynamic"]),  # label: @django_dynamic changes=yes covered=no -- out of a dictionary
    path("api/", include(router.urls)),
    path("other/", include("shop.other")),
    path("listed/", api.OrderListCreate.as_view()),
    path("destroyed/", api.OrderDestroy.as_view()),
    path("plain/", api.PlainApi.as_view()),
    path("func/", api.function_view),
    path("func-get/", api.function_get),
]

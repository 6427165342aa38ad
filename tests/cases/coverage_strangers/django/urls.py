"""Routes."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter

from . import clinic

router = DefaultRouter()
router.register("patients", clinic.PatientViewSet)
router.register("visits", clinic.VisitViewSet, basename="visit")

urlpatterns = [
    path("api/", include(router.urls)),
    path("wards/", clinic.WardList.as_view()),
    path("wards/<int:pk>/discharge/", clinic.discharge),
    path("wards/<int:pk>/", clinic.WardDetail.as_view(), name="ward"),
    path("import/", clinic.import_patients),
    path("search/", clinic.search),
]

"""Bases."""

from rest_framework.views import APIView

from .producer import audit


class Endpoint(APIView):
    def create_audit_entry(self, request, event, target):
        audit.emit(event, actor=request.user, resource_id=str(target.pk))


class ProjectEndpoint(Endpoint):
    permission_classes = ()

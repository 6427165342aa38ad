"""In the manner of a clinic's records: viewsets, generic views, transactions, tasks."""

from django.db import transaction
from django.http import Http404, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.http import require_POST
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from lychgate.audit import AuditProducer

from .models import Patient, Visit, Ward
from .serializers import PatientSerializer, VisitSerializer
from .tasks import notify_ward

audit = AuditProducer(None, service="clinic")


class RecordedMixin:
    """Tells of what the framework saves."""

    def perform_create(self, serializer):
        with audit.recording(f"clinic.{self.basename}.created"):
            serializer.save(owner=self.request.user)

    def perform_destroy(self, instance):
        with audit.recording(f"clinic.{self.basename}.deleted"):
            instance.delete()


# label: clinic.PatientViewSet.list changes=no covered=no -- the framework's own, reads
# label: clinic.PatientViewSet.retrieve changes=no covered=no -- the same
# label: clinic.PatientViewSet.create changes=yes covered=yes -- a mixin of theirs records where the framework saves
# label: clinic.PatientViewSet.update changes=yes covered=no -- perform_update is the framework's
# label: clinic.PatientViewSet.partial_update changes=yes covered=no -- the same
# label: clinic.PatientViewSet.destroy changes=yes covered=yes -- the mixin
class PatientViewSet(RecordedMixin, viewsets.ModelViewSet):
    """Patients."""

    queryset = Patient.objects.all()
    serializer_class = PatientSerializer

    # label: clinic.PatientViewSet.merge changes=yes covered=no -- a missing patient is a 404 without an event
    @action(detail=True, methods=["post"])
    def merge(self, request, pk=None):
        other = get_object_or_404(Patient, pk=request.data["other"])
        with transaction.atomic(), audit.recording("clinic.patient.merged"):
            other.visits.update(patient=self.get_object())
            other.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    # label: clinic.PatientViewSet.history changes=no covered=no -- reads
    @action(detail=True)
    def history(self, request, pk=None):
        return Response(VisitSerializer(self.get_object().visits.all(), many=True).data)


class VisitViewSet(mixins.CreateModelMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    """Visits: created and listed."""

    serializer_class = VisitSerializer

    # label: clinic.VisitViewSet.list changes=no covered=no -- the framework's own

    # label: clinic.VisitViewSet.create changes=yes covered=yes -- all of it within the recording
    def create(self, request, *args, **kwargs):
        with audit.recording("clinic.visit.created"):
            answer = super().create(request, *args, **kwargs)
            notify_ward.delay(answer.data["id"])
            return answer

    # label: clinic.VisitViewSet.close changes=yes covered=no -- on_commit may never run
    @action(detail=True, methods=["put"], url_path="close")
    def close(self, request, pk=None):
        with transaction.atomic():
            visit = Visit.objects.select_for_update().get(pk=pk)
            visit.closed = True
            visit.save(update_fields=["closed"])
            transaction.on_commit(lambda: audit.emit("clinic.visit.closed"))
        return Response(VisitSerializer(visit).data)


class WardList(View):
    """All wards."""

    # label: clinic.WardList.get changes=no covered=no -- reads
    def get(self, request):
        return JsonResponse({"wards": list(Ward.objects.values())})

    # label: clinic.WardList.post changes=yes covered=yes -- told after, and where it fails
    def post(self, request):
        try:
            ward = Ward.objects.create(name=request.POST["name"])
        except Exception:
            audit.emit("clinic.ward.opened", outcome="failure")
            raise
        audit.emit("clinic.ward.opened", ward=ward.pk)
        return JsonResponse({"id": ward.pk}, status=201)


@method_decorator(audit.recorded("clinic.ward.touched"), name="dispatch")
class WardDetail(View):
    """One ward."""

    # label: clinic.WardDetail.get changes=no covered=no -- reads
    def get(self, request, pk):
        return JsonResponse({"name": get_object_or_404(Ward, pk=pk).name})

    # label: clinic.WardDetail.delete changes=yes covered=yes -- all that is dispatched is recorded
    def delete(self, request, pk):
        get_object_or_404(Ward, pk=pk).delete()
        return JsonResponse({}, status=204)


# label: clinic.discharge changes=yes covered=no -- Http404 before the recording
@require_POST
def discharge(request, pk):
    try:
        ward = Ward.objects.get(pk=pk)
    except Ward.DoesNotExist:
        raise Http404 from None
    with audit.recording("clinic.ward.discharged"):
        ward.patients.clear()
    return JsonResponse({})


# label: clinic.import_patients changes=yes covered=yes -- finally
@require_POST
@transaction.atomic
def import_patients(request):
    count = 0
    try:
        for line in request.FILES["file"]:
            Patient.objects.update_or_create(name=line.decode())
            count += 1
    finally:
        audit.emit("clinic.patients.imported", count=count)
    return JsonResponse({"count": count})


# label: clinic.search changes=no covered=no -- reads, whatever the method
def search(request):
    found = Patient.objects.filter(name__icontains=request.GET.get("q", ""))[:20]
    return JsonResponse({"found": [it.name for it in found]})

"""In the manner of a chat server and of a tracker: actions in functions, endpoints in classes, view sets, web hooks."""

from django.db import transaction
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django.views.generic import View
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from .actions import do_deactivate_user
from .endpoints import ProjectEndpoint
from .forms import DeviceForm
from .models import Device, Notification, Project, Rule
from .producer import audit
from .serializers import RuleSerializer


# label: views.deactivate_user_backend changes=yes covered=no -- a table of its own is not the audit
@require_POST
def deactivate_user_backend(request, user_id):
    do_deactivate_user(user_id, acting_user=request.user)
    return JsonResponse({"result": "success"})


class ProjectDetailsEndpoint(ProjectEndpoint):
    # label: ProjectDetailsEndpoint.put changes=yes covered=no -- emits once it is saved, and not when it cannot be
    def put(self, request, project):
        project.name = request.data["name"]
        project.save()
        self.create_audit_entry(request, "tracker.project.edited", project)
        return Response({"name": project.name})

    # label: ProjectDetailsEndpoint.delete changes=yes covered=yes -- emits before it deletes, whatever comes of that
    def delete(self, request, project):
        self.create_audit_entry(request, "tracker.project.removed", project)
        Project.objects.filter(pk=project.pk).delete()
        return Response(status=204)


class DeviceEditView(View):
    # label: DeviceEditView.get changes=no covered=yes -- reads
    def get(self, request, pk):
        return render(request, "edit.html", {"form": DeviceForm(instance=get_object_or_404(Device, pk=pk))})

    # label: DeviceEditView.post changes=yes covered=yes -- all of it within a recorder, a form that is wrong too
    def post(self, request, pk):
        with audit.recording("inventory.device.edited", resource_id=str(pk)) as recording:
            form = DeviceForm(request.POST, instance=get_object_or_404(Device, pk=pk))
            if form.is_valid():
                with transaction.atomic():
                    device = form.save()
                return redirect(device)
            recording.refuse("invalid")
            return render(request, "edit.html", {"form": form})


class RuleViewSet(viewsets.ModelViewSet):
    queryset = Rule.objects.all()
    serializer_class = RuleSerializer

    # label: RuleViewSet.create changes=yes covered=yes -- saved within a recorder
    def perform_create(self, serializer):
        with audit.recording("tracker.rule.created"):
            serializer.save(owner=self.request.user)

    # label: RuleViewSet.update changes=yes covered=no -- saved, then emitted
    # label: RuleViewSet.partial_update changes=yes covered=no -- the same
    def perform_update(self, serializer):
        instance = serializer.save()
        audit.emit("tracker.rule.edited", resource_id=str(instance.pk))

    # label: RuleViewSet.destroy changes=yes covered=no -- the framework's own, with no event

    # label: RuleViewSet.archive changes=yes covered=no -- it emits once it is saved, and not when it cannot be
    @action(detail=True, methods=["post"])
    def archive(self, request, pk=None):
        rule = self.get_object()
        rule.status = "archived"
        rule.save(update_fields=["status"])
        audit.emit("tracker.rule.archived", resource_id=str(pk))
        return Response(status=204)


# label: views.hook changes=yes covered=no -- a wrong signature is answered without an event
@csrf_exempt
@require_POST
def hook(request):
    if not request.headers.get("X-Signature"):
        return HttpResponseBadRequest()
    with audit.recording("tracker.hook.taken"):
        Notification.objects.create(body=request.body)
    return HttpResponse(status=202)


# label: views.rotate_key changes=yes covered=yes -- within a recorder within the transaction
@require_POST
@transaction.atomic
def rotate_key(request, pk):
    with audit.recording("tracker.key.rotated", resource_id=str(pk)):
        project = get_object_or_404(Project.objects.select_for_update(), pk=pk)
        project.public_key = Project.new_key()
        project.save()
    return redirect("project", pk=pk)


# label: views.invite changes=yes covered=no -- on_commit is not called when there is no commit
@require_POST
def invite(request):
    with transaction.atomic():
        member = Notification.objects.create(email=request.POST["email"])
        transaction.on_commit(lambda: audit.emit("tracker.member.invited", resource_id=str(member.pk)))
    return HttpResponse(status=201)


# label: views.mark_all_read changes=yes covered=no -- a link that changes
def mark_all_read(request):
    request.user.notifications.filter(unread=True).update(unread=False)
    return redirect("inbox")


# label: views.inbox changes=no covered=yes -- reads
def inbox(request):
    context = {}
    context.update(items=request.user.notifications.filter(unread=True)[:50])
    return render(request, "inbox.html", context)

"""Polls, and a shop's checkout."""

import json

from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import IntegrityError, transaction
from django.db.models import F
from django.http import HttpResponseBadRequest, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.views import generic
from django.views.decorators.csrf import csrf_exempt

from audit.event import Actor, Outcome
from audit.producer import AuditProducer

from .models import Choice, Question

producer = AuditProducer(None, service="polls")
WHO = {"tenant_id": "t", "actor": Actor(type="user"), "action": "poll:write"}


# label: polls.index changes=no covered=no -- the latest
def index(request):
    latest = Question.objects.order_by("-pub_date")[:5]
    return render(request, "polls/index.html", {"latest": latest})


# label: polls.vote changes=yes covered=no -- a choice that is missing is shown again, without an event
def vote(request, question_id):
    question = get_object_or_404(Question, pk=question_id)
    try:
        selected = question.choice_set.get(pk=request.POST["choice"])
    except (KeyError, Choice.DoesNotExist):
        return render(request, "polls/detail.html", {"error": "none"})
    with producer.recording("poll.vote.cast", **WHO):
        selected.votes = F("votes") + 1
        selected.save()
    return HttpResponseRedirect(reverse("polls:results"))


# label: polls.webhook changes=yes covered=yes -- good or bad, it is recorded
@csrf_exempt
def webhook(request):
    if request.method != "POST":
        return HttpResponseBadRequest()
    with producer.recording("poll.webhook.taken", **WHO) as recording:
        try:
            payload = json.loads(request.body)
        except ValueError:
            recording.outcome = Outcome.FAILURE
            return HttpResponseBadRequest()
        Choice.objects.update_or_create(pk=payload["id"], defaults={"text": payload["text"]})
    return JsonResponse({"ok": True})


# label: polls.Checkout.get changes=no covered=no -- shows the basket
# label: polls.Checkout.post changes=yes covered=no -- only the expected failure is recorded
class Checkout(LoginRequiredMixin, generic.TemplateView):
    def get(self, request, *args, **kwargs):
        return self.render_to_response({"basket": request.basket})

    def post(self, request, *args, **kwargs):
        try:
            with transaction.atomic():
                order = self.place(request)
        except IntegrityError:
            producer.emit("shop.order.placed", outcome=Outcome.FAILURE, **WHO)
            return JsonResponse({}, status=409)
        producer.emit("shop.order.placed", **WHO)
        return JsonResponse({"id": order.pk})

    def place(self, request):
        choice = Choice(text="order")
        choice.save()
        return choice


# label: polls.EditQuestion.post changes=yes covered=yes -- form_valid and form_invalid aside, what is saved is recorded
class EditQuestion(LoginRequiredMixin, generic.UpdateView):
    model = Question

    def form_valid(self, form):
        with producer.recording("poll.question.edited", **WHO):
            return super().form_valid(form)


# label: polls.results changes=no covered=no -- reads
def results(request, question_id):
    question = get_object_or_404(Question, pk=question_id)
    return render(request, "polls/results.html", {"total": sum(c.votes for c in question.choice_set.all())})


# label: polls.reset changes=yes covered=no -- any method sets all votes back
def reset(request, question_id):
    Choice.objects.filter(question_id=question_id).update(votes=0)
    return HttpResponseRedirect(reverse("polls:index"))


urlpatterns = [
    path("", index, name="index"),
    path("<int:question_id>/vote/", vote),
    path("hook/", webhook),
    path("checkout/", Checkout.as_view()),
    path("edit/<int:pk>/", EditQuestion.as_view()),
    path("<int:question_id>/results/", results),
    path("<int:question_id>/reset/", reset),
]

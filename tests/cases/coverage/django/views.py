"""Function views and class views."""

from django.db import transaction
from django.dispatch import Signal
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views import View
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.generic import CreateView, DeleteView, UpdateView

from audit.event import Outcome

from .models import Order
from .trail import WHO, audit

changed = Signal()
VIEWS = {}


# label: views.order_list changes=no covered=no -- reads, whatever the method
def order_list(request):
    orders = Order.objects.filter(name=request.GET.get("name")).order_by("id")
    return render(request, "orders.html", {"orders": orders})


# label: views.order_new changes=yes covered=no -- a form that is not valid is not recorded
def order_new(request):
    if request.method == "POST":
        form = OrderForm(request.POST)
        if form.is_valid():
            with audit.recording("order.order.created", **WHO):
                form.save()
            return redirect("/orders/")
    else:
        form = OrderForm()
    return render(request, "new.html", {"form": form})


# label: views.archive changes=yes covered=yes -- POST only, recorded
@require_POST
def archive(request, pk):
    with audit.recording("order.order.archived", **WHO):
        Order.objects.filter(pk=pk).update(archived=True)
    return HttpResponse(status=204)


# label: views.pay changes=yes covered=no -- no event
@require_http_methods(["POST", "PUT"])
def pay(request):
    order = Order.objects.create(name="x")
    return JsonResponse({"id": order.pk})


# label: views.refund changes=yes covered=yes -- each way out, of a POST; the others are refused
def refund(request):
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    with audit.recording("order.order.refunded", **WHO):
        order = get_object_or_404(Order, pk=request.POST["pk"])
        order.cancel()
    return HttpResponse()


# label: views.atomic_change changes=yes covered=no -- the commit at the end of the block can fail before the event
@require_POST
def atomic_change(request):
    with transaction.atomic():
        order = Order(name="x")
        order.save()
    audit.emit("order.order.changed", **WHO)
    return HttpResponse()


# label: views.raised_404 changes=yes covered=no -- get_object_or_404 refuses before the event
@require_POST
def raised_404(request):
    order = get_object_or_404(Order, pk=1)
    with audit.recording("order.order.changed", **WHO):
        order.save()
    return HttpResponse()


# label: views.raised_404_inside changes=yes covered=yes -- within the recording, as is the transaction
@require_POST
def raised_404_inside(request):
    with audit.recording("order.order.changed", **WHO), transaction.atomic():
        order = get_object_or_404(Order, pk=1)
        order.save()
    return HttpResponse()


# label: views.page changes=no covered=no -- GET
@require_GET
def page(request):
    return render(request, "page.html", {"label": Order().label()})


# label: views.track changes=yes covered=no -- any method, and it writes through the model's own method
def track(request):
    for order in Order.objects.all():
        order.cancel()
    return HttpResponse()


# label: views.bulk changes=yes covered=no -- bulk_create by any method
def bulk(request):
    Order.objects.bulk_create([Order(name="x")])
    audit.emit("order.order.created", **WHO)
    return HttpResponse()


# label: views.save_report changes=yes covered=no -- the verb in its name; what it calls cannot be followed
def save_report(request):
    reporter.run(request.GET["name"])
    return HttpResponse()


# label: views.switch changes=yes covered=yes -- POST recorded, DELETE recorded, GET shows
def switch(request, pk):
    if request.method == "GET":
        return render(request, "switch.html")
    try:
        if request.method == "DELETE":
            Order.objects.get(pk=pk).delete()
        else:
            Order.objects.get(pk=pk).save()
    except Exception:
        audit.emit("order.order.switched", outcome=Outcome.FAILURE, **WHO)
        raise
    audit.emit("order.order.switched", **WHO)
    return HttpResponse()


# label: views.by_match changes=yes covered=no -- PATCH is not recorded
def by_match(request):
    match request.method:
        case "POST":
            with audit.recording("order.order.posted", **WHO):
                Order().save()
        case "PATCH":
            Order().save()
    return HttpResponse()


# label: views.signalled changes=yes covered=no -- a signal is no event
@require_POST
def signalled(request):
    Order().save()
    changed.send(sender=Order)
    return HttpResponse()


# label: views.on_commit changes=yes covered=no -- emitted later, if the transaction is ever committed
@require_POST
def on_commit(request):
    Order().save()
    transaction.on_commit(lambda: audit.emit("order.order.saved", **WHO))
    return HttpResponse()


# label: views.closing changes=yes covered=yes -- a value is computed between, nothing that can fail is called
@require_POST
def closing(request):
    name = request.POST.get("name", "").strip()
    try:
        Order(name=name).save()
        outcome = Outcome.SUCCESS
    except Exception:
        outcome = Outcome.FAILURE
    audit.emit("order.order.closed", outcome=outcome, **WHO)
    return JsonResponse({"name": name})


# label: views.OrderView.get changes=no covered=no -- reads
# label: views.OrderView.post changes=yes covered=yes -- recorded
# label: views.OrderView.put changes=yes covered=no -- the event stands behind the return
class OrderView(View):
    def get(self, request, pk):
        return JsonResponse({})

    def post(self, request, pk):
        with audit.recording("order.order.posted", **WHO):
            Order(pk=pk).save()
        return JsonResponse({})

    def put(self, request, pk):
        Order(pk=pk).save()
        return JsonResponse({})
        audit.emit("order.order.put", **WHO)


# label: views.OrderDelete.post changes=yes covered=no -- the framework deletes, nothing of ours runs
# label: views.OrderDelete.delete changes=yes covered=no -- the same
class OrderDelete(DeleteView):
    model = Order


# label: views.ProductCreate.post changes=yes covered=yes -- form_valid is where the framework saves, and is recorded
class ProductCreate(CreateView):
    model = Order

    def form_valid(self, form):
        with audit.recording("order.product.created", **WHO):
            return super().form_valid(form)


# label: views.ProductCreateBare.post changes=yes covered=no -- form_valid emits only what went well
class ProductCreateBare(CreateView):
    model = Order

    def form_valid(self, form):
        answer = super().form_valid(form)
        audit.emit("order.product.created", **WHO)
        return answer


# label: views.ProductUpdate.post changes=yes covered=no -- nothing of ours
class ProductUpdate(UpdateView):
    model = Order
    fields = ["name"]

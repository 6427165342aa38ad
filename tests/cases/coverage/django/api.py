"""Django REST framework."""

from rest_framework import generics, viewsets
from rest_framework.decorators import action, api_view
from rest_framework.response import Response
from rest_framework.views import APIView

from .models import Order
from .trail import WHO, audit


# label: api.OrderViewSet.create changes=yes covered=yes -- perform_create is recorded
# label: api.OrderViewSet.update changes=yes covered=no -- the framework's own
# label: api.OrderViewSet.partial_update changes=yes covered=no -- the framework's own
# label: api.OrderViewSet.destroy changes=yes covered=no -- perform_destroy does not emit
# label: api.OrderViewSet.cancel changes=yes covered=yes -- an action, recorded
# label: api.OrderViewSet.recent changes=no covered=no -- an action by GET
class OrderViewSet(viewsets.ModelViewSet):
    queryset = Order.objects.all()

    def perform_create(self, serializer):
        with audit.recording("order.order.created", **WHO):
            serializer.save()

    def perform_destroy(self, instance):
        instance.delete()

    @action(detail=True, methods=["post"])
    def cancel(self, request, pk=None):
        with audit.recording("order.order.cancelled", **WHO):
            self.get_object().cancel()
        return Response()

    @action(detail=False)
    def recent(self, request):
        return Response(Order.objects.order_by("-id")[:10])


# label: api.CartViewSet.list changes=no covered=no -- reads
# label: api.CartViewSet.create changes=yes covered=no -- is_valid(raise_exception=True) refuses before the event
class CartViewSet(viewsets.ViewSet):
    def list(self, request):
        return Response([])

    def create(self, request):
        serializer = CartSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with audit.recording("cart.cart.created", **WHO):
            serializer.save()
        return Response(serializer.data, status=201)


# label: api.OrderListCreate.post changes=yes covered=yes -- perform_create is recorded
class OrderListCreate(generics.ListCreateAPIView):
    def perform_create(self, serializer):
        with audit.recording("order.order.created", **WHO):
            serializer.save()


# label: api.OrderDestroy.delete changes=yes covered=no -- the framework's own
class OrderDestroy(generics.DestroyAPIView):
    queryset = Order.objects.all()


# label: api.PlainApi.get changes=no covered=no -- reads
# label: api.PlainApi.post changes=yes covered=no -- no event
class PlainApi(APIView):
    def get(self, request):
        return Response({})

    def post(self, request):
        Order.objects.create(name=request.data["name"])
        return Response({})


# label: api.function_view changes=yes covered=yes -- recorded
@api_view(["POST"])
def function_view(request):
    with audit.recording("order.order.created", **WHO):
        Order.objects.create(name=request.data["name"])
    return Response({})


# label: api.function_get changes=no covered=no -- GET
@api_view(["GET"])
def function_get(request):
    return Response({})

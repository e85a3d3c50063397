"""An order of the admin API with its id, its buyer and its lines inside, where the stock one holds links.

The way that django-oscar-api documents for changing a serializer: OSCARAPI_OVERRIDE_MODULES names this package.
"""

from oscar.core.loading import get_model
from oscarapi.serializers.admin import order as stock


class AdminOrderLineSerializer(stock.AdminOrderLineSerializer):
    """A line without the links to its parts."""

    class Meta(stock.AdminOrderLineSerializer.Meta):
        fields = ("id", "partner_sku", "title", "quantity", "price_currency", "unit_price_incl_tax")


class AdminOrderSerializer(stock.AdminOrderSerializer):
    """See the module."""

    lines = AdminOrderLineSerializer(many=True, read_only=True)

    class Meta:
        model = get_model("order", "Order")
        fields = (
            "id", "number", "status", "date_placed", "user_id", "guest_email", "email", "currency", "total_incl_tax", "lines",
        )


AdminOrderLineAttributeSerializer = stock.AdminOrderLineAttributeSerializer

"""Makes the shop's database: tables, two countries, two products in stock, and an account for the hub."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from oscar.apps.catalogue.models import Category, Product, ProductClass  # noqa: E402
from oscar.apps.partner.models import Partner, StockRecord  # noqa: E402
from oscar.core.loading import get_model  # noqa: E402

PRODUCTS = [("TEA-1", "龙井", "128.00"), ("CUP-2", "Porcelain cup", "19.90")]


def main():
    """See the module."""
    call_command("migrate", verbosity=0)
    country = get_model("address", "Country")
    for code, name in [("CN", "China"), ("DE", "Germany")]:
        country.objects.create(
            iso_3166_1_a2=code, printable_name=name, name=name, is_shipping_country=True
        )
    kind = ProductClass.objects.create(name="Goods", requires_shipping=True)
    shelf = Category.add_root(name="All")
    partner = Partner.objects.create(name="Store")
    for sku, title, price in PRODUCTS:
        product = Product.objects.create(product_class=kind, title=title, upc=sku, slug=sku.lower())
        product.categories.add(shelf)
        StockRecord.objects.create(
            product=product, partner=partner, partner_sku=sku, price_currency="CNY", price=price, num_in_stock=100000
        )
    User.objects.create_superuser("hub", "hub@shop.example", "hub-password-1", first_name="Hub", last_name="Account")


main()

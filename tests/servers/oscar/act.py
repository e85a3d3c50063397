"""The people of the shop, for tests: buyers use the shop's public API, staff the shop's own models.

Reads one JSON object a line and answers each with one line. `do` names the act; the first argument of the program is
the shop's address.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from http.cookiejar import CookieJar

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.utils import timezone  # noqa: E402
from oscar.apps.order.models import Line, Order  # noqa: E402
from oscar.apps.partner.models import StockRecord  # noqa: E402

SHOP = sys.argv[1]


class Browser:
    """One buyer's session with the public API."""

    def __init__(self):
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def call(self, path, body=None):
        """GET, or POST of JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        headers |= {"x-csrftoken": cookie.value for cookie in self.cookies if cookie.name == "csrftoken"}
        request = urllib.request.Request(f"{SHOP}/api{path}", data, headers)
        try:
            with self.opener.open(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise RuntimeError(f"{path}: {refusal.code} {refusal.read()[:500]}") from refusal


def register(email, first_name="", last_name=""):
    """Somebody opens an account; the name is entered by staff, since the API's form does not ask for it."""
    Browser().call("/register/", {"email": email, "password1": "Long-password-7", "password2": "Long-password-7"})
    User.objects.filter(email=email).update(first_name=first_name, last_name=last_name)
    return User.objects.get(email=email).pk


def buy(email, sku, quantity, account=False):
    """A checkout through the public API: of a guest, or of somebody who logs in before."""
    browser = Browser()
    if account:
        user = User.objects.get(email=email)
        browser.call("/login/", {"username": user.username, "password": "Long-password-7"})
    basket = browser.call("/basket/")["url"]
    product = StockRecord.objects.get(partner_sku=sku).product_id
    browser.call("/basket/add-product/", {"url": f"{SHOP}/api/products/{product}/", "quantity": quantity})
    address = {
        "country": f"{SHOP}/api/countries/CN/", "first_name": "收件人", "last_name": "王", "line1": "延安路1号",
        "line4": "杭州", "postcode": "310000",
    }
    order = {"basket": basket, "shipping_address": address}
    if not account:
        order["guest_email"] = email
    return browser.call("/checkout/", order)["number"]


def edit(id, **fields):
    """Staff change an account."""
    return User.objects.filter(pk=id).update(**fields)


def remove(id):
    """Staff delete an account."""
    User.objects.get(pk=id).delete()


def crowd(users, orders):
    """Many accounts and guest orders at once, straight into the tables."""
    stock = StockRecord.objects.first()
    User.objects.bulk_create(
        User(username=f"buyer{n}@example.com", email=f"buyer{n}@example.com", first_name=f"Buyer {n}")
        for n in range(users)
    )
    made = Order.objects.bulk_create(
        Order(
            number=f"C{n}", currency="CNY", total_incl_tax="128.00", total_excl_tax="128.00", status="new",
            guest_email=f"guest{n}@example.com", date_placed=timezone.now(), site_id=1,
        )
        for n in range(orders)
    )
    Line.objects.bulk_create(
        Line(
            order=order, partner=stock.partner, partner_sku=stock.partner_sku, title="龙井", product=stock.product,
            stockrecord=stock, quantity=1, num_allocated=0, line_price_incl_tax="128.00", line_price_excl_tax="128.00",
            line_price_before_discounts_incl_tax="128.00", line_price_before_discounts_excl_tax="128.00",
            unit_price_incl_tax="128.00", unit_price_excl_tax="128.00",
        )
        for order in made
    )


def users():
    """Everybody with an account but the hub's own, as the table holds them."""
    found = User.objects.exclude(username="hub").order_by("pk")
    return {str(it.pk): {"email": it.email, "first_name": it.first_name, "last_name": it.last_name} for it in found}


ACTS = {act.__name__: act for act in (register, buy, edit, remove, crowd, users)}

print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    try:
        done = {"done": ACTS[told.pop("do")](**told)}
    except Exception as mistake:  # pylint: disable=broad-except
        done = {"failed": f"{type(mistake).__name__}: {mistake}"}
    print(json.dumps(done), flush=True)

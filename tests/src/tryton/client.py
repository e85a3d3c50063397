"""Calls of a person's own client: Proteus, by Tryton's authors, over XML-RPC. Reads calls as JSON, prints their results."""
import datetime
import json
import sys
from decimal import Decimal

from proteus import config


def native(value):
    """A JSON value as the server wants it: {"decimal": "1.50"} and {"date": "2026-01-31"} are typed."""
    if isinstance(value, dict):
        if set(value) == {'decimal'}:
            return Decimal(value['decimal'])
        if set(value) == {'date'}:
            return datetime.date.fromisoformat(value['date'])
        return {key: native(inner) for key, inner in value.items()}
    return [native(inner) for inner in value] if isinstance(value, list) else value


question = json.load(sys.stdin)
current = config.set_xmlrpc(question['url'])
context = dict(current.context, active_test=False)
results = []
for model, method, *arguments in question['calls']:
    results.append(getattr(current.get_proxy(model), method)(*native(arguments), context))
json.dump(results, sys.stdout, default=str)

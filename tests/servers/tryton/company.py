"""Puts a company, currencies, a product and users into a new Tryton database, and leaves it as one closed file."""
import sqlite3
import sys
from decimal import Decimal

from proteus import Model, Wizard, config

CONF, DATABASE, TEMPLATE = sys.argv[1:]
current = config.set_trytond('sqlite:///tryton', config_file=CONF)


def made(model, /, **values):
    record = Model.get(model)(**values)
    record.save()
    return record


yuan = made('currency.currency', name='Renminbi', symbol='¥', code='CNY', rounding=Decimal('0.01'))
made('currency.currency', name='Euro', symbol='€', code='EUR', rounding=Decimal('0.01'))
wizard = Wizard('company.company.config')
wizard.execute('company')
wizard.form.party = made('party.party', name='Huiliu Example Trading')
wizard.form.currency = yuan
wizard.execute('add')
User = Model.get('res.user')
current._context = User.get_preferences(True, {})
made('country.country', name='China', code='CN')

Uom = Model.get('product.uom')
unit, = Uom.find([('name', '=', 'Unit')])
template = Model.get('product.template')()
template.name = 'Jasmine tea'
template.default_uom = unit
template.type = 'goods'
template.salable = True
template.list_price = Decimal('12.50')
template.products[0].suffix_code = 'TEA-1'
template.save()

# Nobody's member: may log in, and see no sales.
guest = User(name='Guest', login='guest')
guest.password = 'quiet-otter-17'
guest.save()

with sqlite3.connect(DATABASE) as database:
    database.execute('VACUUM INTO ?', (TEMPLATE,))

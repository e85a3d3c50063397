// Makes the shop's database: tables, a country with a tax, ways to ship and to pay, and two products.
const { bootstrap } = require('@vendure/core');
const { populate } = require('@vendure/core/cli');
const { config } = require('./index.js');

const data = {
    defaultLanguage: 'en',
    defaultZone: 'Asia',
    countries: [{ name: 'China', code: 'CN', zone: 'Asia' }, { name: 'Germany', code: 'DE', zone: 'Europe' }],
    taxRates: [{ name: 'Standard Tax', percentage: 20 }],
    shippingMethods: [{ name: 'Standard Shipping', price: 500 }],
    paymentMethods: [{
        name: 'Dummy',
        handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'true' }] },
    }],
    collections: [],
};

populate(() => bootstrap(config), data, process.argv[2])
    .then(app => app.close())
    .then(() => process.exit(0), mistake => { console.error(mistake); process.exit(1); });

// A small shop: Vendure as its documents set it up, on SQLite, with its own defaults, on loopback.
//
// Ours are the last two parts: each GraphQL operation is printed, so that a test can count what was written; and the
// plugin that Vendure leaves to the shop, which tells of changes by signed webhooks where WEBHOOK_URL says so.
const { createHmac } = require('node:crypto');
const {
    bootstrap, CustomerEvent, DefaultJobQueuePlugin, DefaultLogger, dummyPaymentHandler, EventBus, LogLevel,
    OrderStateTransitionEvent, PluginCommonModule, VendurePlugin,
} = require('@vendure/core');

class HooksPlugin {
    constructor(events) {
        this.events = events;
    }

    onApplicationBootstrap() {
        const { WEBHOOK_URL: url, WEBHOOK_SECRET: secret } = process.env;
        if (!url) return;
        const tell = (topic, id) => {
            const body = JSON.stringify({ topic, id: String(id), at: new Date().toISOString() });
            const signature = createHmac('sha256', secret).update(body).digest('hex');
            fetch(url, { method: 'POST', body, headers: { 'x-shop-signature': signature } }).catch(() => {});
        };
        this.events.ofType(CustomerEvent).subscribe(event => tell(`customer.${event.type}`, event.entity.id));
        this.events.ofType(OrderStateTransitionEvent).subscribe(event => {
            // Before it is placed, an order is somebody's cart.
            if (event.order.orderPlacedAt) tell('order.changed', event.order.id);
        });
    }
}
Reflect.defineMetadata('design:paramtypes', [EventBus], HooksPlugin);
VendurePlugin({ imports: [PluginCommonModule], compatibility: '>0.0.0' })(HooksPlugin);

const printed = {
    requestDidStart: async () => ({
        didResolveOperation: async ({ operation }) => {
            const field = operation.selectionSet.selections[0].name.value;
            console.log(`${operation.operation} ${field} ${operation.name?.value ?? '-'}`);
        },
    }),
};

const config = {
    apiOptions: {
        hostname: '127.0.0.1',
        port: Number(process.env.PORT ?? 3000),
        adminApiPath: 'admin-api',
        shopApiPath: 'shop-api',
        apolloServerPlugins: [printed],
    },
    authOptions: {
        tokenMethod: 'bearer',
        superadminCredentials: { identifier: 'hub', password: 'hub-password-1' },
        requireVerification: false,
        ...(process.env.SESSION_DURATION ? { sessionDuration: process.env.SESSION_DURATION } : {}),
    },
    dbConnectionOptions: {
        type: 'better-sqlite3',
        database: process.env.SHOP_DB ?? 'shop.sqlite3',
        synchronize: Boolean(process.env.SHOP_PREPARES),
        logging: false,
    },
    paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
    logger: new DefaultLogger({ level: LogLevel.Error }),
    plugins: [DefaultJobQueuePlugin.init({ pollInterval: 1000 }), HooksPlugin],
};

module.exports = { config };
if (require.main === module) bootstrap(config);

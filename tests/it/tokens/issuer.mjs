// An issuer that lets each refresh token be used once. What it keeps is in memory, all of it: the adapter that oidc-provider
// brings forgets the oldest after a thousand, and with them that a token was used.
import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const home = pathToFileURL(`${process.env.ISSUER_TOOLS}/node_modules/oidc-provider/lib/index.js`);
const { default: Provider } = await import(home);

const port = Number(process.env.PORT);
const lifeSeconds = Number(process.env.ISSUER_LIFE_SECONDS);
const kept = new Map();
const ofGrant = new Map();
class Memory {
  constructor(name) { this.name = name; }
  key(id) { return `${this.name}:${id}`; }
  async upsert(id, payload) {
    kept.set(this.key(id), payload);
    if (payload.grantId) ofGrant.set(payload.grantId, [...(ofGrant.get(payload.grantId) ?? []), this.key(id)]);
  }
  async find(id) { return kept.get(this.key(id)); }
  async findByUserCode() { return undefined; }
  async findByUid() { return undefined; }
  async destroy(id) { kept.delete(this.key(id)); }
  async consume(id) { kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000); }
  async revokeByGrantId(id) { for (const key of ofGrant.get(id) ?? []) kept.delete(key); }
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Memory,
  clients: [{
    client_id: 'hub', client_secret: 'hub-secret', grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_method: 'client_secret_basic',
  }],
  cookies: { keys: ['tests'] },
  features: { devInteractions: { enabled: false }, introspection: { enabled: true } },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  rotateRefreshToken: true,
  ttl: { AccessToken: lifeSeconds, Grant: 86400, RefreshToken: 86400, IdToken: 3600, Session: 86400 },
});

const told = { refreshed: 0, refused: 0, revoked: 0, introspected: 0, presented_most: 0 };
const presented = new Map();
provider.on('grant.success', (ctx) => { if (ctx.oidc.params.grant_type === 'refresh_token') told.refreshed += 1; });
provider.on('grant.error', () => { told.refused += 1; });
provider.on('grant.revoked', () => { told.revoked += 1; });
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

provider.use(async (ctx, next) => {
  if (ctx.path === '/health') { ctx.body = 'ok'; return; }
  if (ctx.path === '/told') { ctx.body = told; return; }
  if (ctx.path === '/sign-in') {
    // What a person's sign-in ends with.
    const client = await provider.Client.find('hub');
    const grant = new provider.Grant({ accountId: 'anna', clientId: 'hub' });
    grant.addOIDCScope('openid offline_access');
    const grantId = await grant.save();
    const token = new provider.RefreshToken({
      accountId: 'anna', client, grantId, gty: 'authorization_code', scope: 'openid offline_access',
    });
    ctx.body = { refresh_token: await token.save() };
    return;
  }
  if (ctx.path === '/spent') {
    const token = await provider.RefreshToken.find(String(ctx.query.token));
    ctx.type = 'json';
    ctx.body = JSON.stringify(!token || Boolean(token.consumed));
    return;
  }
  if (ctx.path === '/token/introspection') told.introspected += 1;
  if (ctx.path !== '/token') { await next(); return; }
  // On the way here and back whoever asks may die.
  await sleep(5 + Math.random() * 20);
  await next();
  const sent = ctx.oidc?.params?.refresh_token;
  if (sent) {
    const name = createHash('sha256').update(sent).digest('hex');
    presented.set(name, (presented.get(name) ?? 0) + 1);
    told.presented_most = Math.max(told.presented_most, presented.get(name));
  }
  await sleep(5 + Math.random() * 20);
});
provider.listen(port, '127.0.0.1');

// A real authorization server (npm oidc-provider) and an API that takes its tokens, for oauth.rs.
//
// Started with the folder of the tools; prints {"url"} when it listens and ends with its standard input. Refresh tokens
// rotate, and one that is used twice ends the whole grant. People log in and consent by being sent to the page.
//
// GET /api/customers   one customer, for a good token
// GET /control         what happened: tokens issued by each grant type, grants revoked
// POST /control/expire all access tokens issued until now are refused from now on
// POST /control/fail   the next call of the token endpoint is carried out, and its answer is lost on the way
import http from 'node:http';
import path from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(path.join(process.argv[2], 'package.json'));
console.info = console.warn = console.error;
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const secret = 's3cret-key/+ %&:';
const redirect_uris = ['http://127.0.0.1/back'];
const code = { redirect_uris, response_types: ['code'], grant_types: ['authorization_code', 'refresh_token'] };
const robot = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] };
const seen = { authorization_code: 0, refresh_token: 0, client_credentials: 0, revoked: 0, errors: [] };
let refused = new Set();
let issued = [];
let loses = false;

const server = http.createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const url = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(url, {
  clients: [
    { client_id: 'app', client_secret: secret, token_endpoint_auth_method: 'client_secret_basic', ...code },
    { client_id: 'app-post', client_secret: secret, token_endpoint_auth_method: 'client_secret_post', ...code },
    { client_id: 'app-public', token_endpoint_auth_method: 'none', ...code },
    { client_id: 'robot', client_secret: secret, token_endpoint_auth_method: 'client_secret_basic', ...robot },
  ],
  cookies: { keys: ['only for tests'] },
  scopes: ['customers'],
  features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  pkce: { methods: ['S256'], required: () => true },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  ttl: { AccessToken: 600, ClientCredentials: 600, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 600 },
});
provider.on('grant.success', (ctx) => {
  seen[ctx.oidc.params.grant_type] += 1;
  issued.push(ctx.body.access_token);
});
provider.on('grant.revoked', () => { seen.revoked += 1; });
provider.on('grant.error', (_, error) => { seen.errors.push(error.error); });

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: 'a-person' } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

async function api(request, response) {
  const token = (request.headers.authorization || '').replace(/^Bearer /, '');
  const good = !refused.has(token)
    && (await provider.AccessToken.find(token) || await provider.ClientCredentials.find(token));
  response.writeHead(good ? 200 : 401, { 'content-type': 'application/json' });
  response.end(JSON.stringify(good ? { items: [{ id: 1 }] } : { error: `token ${token} is refused` }));
}

const callback = provider.callback();
server.on('request', async (request, response) => {
  const end = (body) => { response.writeHead(200, { 'content-type': 'application/json' }); response.end(body); };
  if (request.url.startsWith('/interaction/')) return interact(request, response);
  if (request.url.startsWith('/api/')) return api(request, response);
  if (request.url === '/control') return end(JSON.stringify(seen));
  if (request.url === '/control/expire') { refused = new Set(issued); return end('{}'); }
  if (request.url === '/control/fail') { loses = true; return end('{}'); }
  if (request.url === '/token' && loses) {
    loses = false;
    response.end = () => { request.socket.destroy(); return response; };
  }
  return callback(request, response);
});
process.stdin.on('end', () => process.exit(0)).resume();
console.log(JSON.stringify({ url }));

// Lets Shopify's own SDK (npm @shopify/shopify-api) judge webhook calls.
//
// Standard input: {"secret": "…", "calls": [{"headers": [[name, value]], "body": "…"}]}.
// Standard output: a JSON array with the SDK's verdict on each: {"valid": true, "topic", "eventId", …} or {"valid": false, "reason"}.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.argv[2], 'package.json'));
require('@shopify/shopify-api/adapters/node');
const { shopifyApi, ApiVersion, LogSeverity } = require('@shopify/shopify-api');

const { secret, calls } = JSON.parse(fs.readFileSync(0, 'utf8'));
const sdk = shopifyApi({
  apiKey: 'unused', apiSecretKey: secret, scopes: [], hostName: 'localhost', isEmbeddedApp: false,
  apiVersion: Object.values(ApiVersion).at(-1), logger: { level: LogSeverity.Error },
});
const verdicts = [];
for (const { headers, body } of calls) {
  const rawRequest = { method: 'POST', url: '/hooks/shopify', headers: Object.fromEntries(headers) };
  verdicts.push(await sdk.webhooks.validate({ rawBody: body, rawRequest }));
}
process.stdout.write(JSON.stringify(verdicts));

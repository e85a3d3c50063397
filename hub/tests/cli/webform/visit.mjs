// Visitors of a shop whose pages hold a form of the hub, in a real browser: by a script of the page, and in a frame.
//
// Arguments: the folder of npm packages. Standard input: {"port", "script", "frame", "shots"}: where the shop opens, and
// what its owner pasted into two pages, by language. Standard output: {"problems": [text], "seen": {…}}.
import fs from 'node:fs';
import http from 'node:http';
import { open } from '../browser.mjs';

const { port, script, frame, shots } = JSON.parse(fs.readFileSync(0, 'utf8'));
const eyes = await open(process.argv[2], shots);
const { browser, problems, listen, look } = eyes;
const seen = {};

// The shop: /en/script, /zh/frame, … Its pages have an origin of their own; called 127.0.0.1 it is a stranger.
const held = { script, frame };
const shop = http.createServer((request, reply) => {
  const [, language, way] = request.url.split('?')[0].split('/');
  const form = held[way]?.[language];
  reply.writeHead(form ? 200 : 204, { 'content-type': 'text/html; charset=utf-8' });
  reply.end(form && `<!doctype html><html lang="${language}"><head><meta charset="utf-8"><title>Pumps</title>
<meta name="viewport" content="width=device-width"></head><body><main><h1>Pumps 水泵</h1>
${form}</main></body></html>`);
});
await new Promise((done) => shop.listen(port, done));
const own = `http://localhost:${port}`;
const stranger = `http://127.0.0.1:${port}`;

// Quicker than two seconds is no person.
const think = (page) => page.waitForTimeout(2300);

async function visit(language, width, path, javaScriptEnabled = true) {
  const context = await browser.newContext({ locale: language, viewport: { width, height: 800 }, javaScriptEnabled });
  const page = await context.newPage();
  listen(page);
  await page.goto(path);
  return page;
}

// Fills the form in by keyboard, from the first input to the button, and tells where the keyboard stopped.
async function type(page, place, values) {
  const stops = [];
  await place.focus('input[name="name"]');
  for (;;) {
    const at = await place.evaluate(() => document.activeElement.name || document.activeElement.tagName);
    stops.push(at);
    if (at === 'BUTTON' || stops.length > 12) break;
    if (at.startsWith('consent_')) await page.keyboard.press('Space');
    else if (values[at]) await page.keyboard.type(values[at]);
    await page.keyboard.press('Tab');
  }
  return stops;
}

// With a script of the page, on a desk, in English.
let page = await visit('en-US', 1280, `${own}/en/script?utm_source=newsletter`);
await page.waitForSelector('form:not([hidden])');
await look(page, 'script en 1280');
seen.stops = await type(page, page, { name: 'Li Lei', email: 'li.lei@example.com', message: 'Which pump?' });
await think(page);
await page.keyboard.press('Enter');
await page.waitForURL('**/hooks/contact?token=*');
await look(page, 'sent en 1280');
seen.sent = await page.innerText('h1');
// The way back and once more: the token is used up.
await page.reload();
seen.again = await page.innerText('h1');
await page.context().close();

// In a frame, on a phone, in Chinese.
page = await visit('zh-CN', 360, `${own}/zh/frame`);
const form = await (await page.waitForSelector('iframe')).contentFrame();
await form.waitForSelector('form');
await look(page, 'frame zh 360');
await look(page, 'inside the frame zh 360', form);
seen.framedStops = await type(page, form, { name: '韩梅梅', email: 'han@example.com', message: '请回电' });
await think(page);
await page.keyboard.press('Enter');
await form.waitForSelector('[role="status"]');
await look(page, 'sent zh 360');
await look(page, 'inside the frame, sent zh 360', form);
seen.framed = await form.innerText('h1');
await page.context().close();

// The page's own form on a phone, in Chinese; and a frame on a desk, in English.
page = await visit('zh-CN', 360, `${own}/zh/script`);
await page.waitForSelector('form:not([hidden])');
await look(page, 'script zh 360');
await page.context().close();
page = await visit('en-US', 1280, `${own}/en/frame`);
await look(page, 'frame en 1280');
await page.context().close();

// A bot that fills everything in, at leisure: it is thanked like a person.
page = await visit('en-US', 1280, `${own}/en/script`);
await page.waitForSelector('form:not([hidden])');
await page.evaluate(() => {
  for (const it of document.querySelectorAll('form input[type=text], form input[type=email], form textarea')) it.value = 'bot@example.com';
});
await think(page);
await page.click('form button');
await page.waitForURL('**/hooks/contact?token=*');
seen.greedy = await page.innerText('h1');
await page.context().close();

// A bot in haste: it is told so.
page = await visit('en-US', 1280, `${own}/en/script`);
await page.waitForSelector('form:not([hidden])');
eyes.refusals = 1;
await page.fill('input[name="email"]', 'haste@example.com');
await page.click('form button');
await page.waitForURL('**/hooks/contact?token=*');
seen.hasty = await page.innerText('h1');
await page.context().close();

// A stranger's page gets neither a token nor a frame.
page = await visit('en-US', 1280, `${stranger}/en/script`);
await page.waitForTimeout(1000);
seen.strangersForm = await page.isVisible('form');
await page.goto(`${stranger}/en/frame`);
await page.waitForTimeout(1000);
const strange = await (await page.$('iframe')).contentFrame();
seen.strangersFrame = await strange.$$eval('form', (all) => all.length).catch(() => 0);
await page.context().close();
eyes.refusals = 0;

// Without scripts the page shows the frame.
page = await visit('en-US', 1280, `${own}/en/script`, false);
const quiet = await (await page.waitForSelector('iframe')).contentFrame();
seen.quiet = await quiet.getAttribute('form', 'method');
await page.context().close();

await browser.close();
shop.close();
console.log(JSON.stringify({ problems, seen }));

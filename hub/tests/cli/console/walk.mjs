// Walks through the console in a real browser, as a person does, and tells what was wrong.
//
// Arguments: the folder of npm packages. Standard input: {"address", "link", "name", "password", "shots"}.
// Standard output: {"problems": [text], "pages": number, "seen": {…}}.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.argv[2], 'package.json'));
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const { address, link, name, password, shots } = JSON.parse(fs.readFileSync(0, 'utf8'));

const problems = [];
const seen = {};
let pages = 0;
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// A refused action answers with an error status, which browsers write into their console too.
let refusals = 0;
function listen(page) {
  page.on('console', (it) => {
    if (it.type() === 'error' && refusals === 0) problems.push(`console: ${page.url()}: ${it.text()}`);
  });
  page.on('pageerror', (it) => problems.push(`script: ${page.url()}: ${it.message}`));
  page.on('response', (it) => {
    if (it.status() >= 400 && refusals === 0) problems.push(`status ${it.status()}: ${it.url()}`);
  });
}

async function look(page, what) {
  pages += 1;
  const { wide, out } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    out: [...document.querySelectorAll('main *')].filter((it) => {
      const box = it.getBoundingClientRect();
      return box.width > 1 && box.right > document.documentElement.clientWidth + 1 && !it.closest('svg');
    }).slice(0, 3).map((it) => it.outerHTML.slice(0, 120)),
  }));
  if (wide > 0 || out.length > 0) problems.push(`${what}: too wide by ${wide}: ${out.join(' | ')}`);
  await page.evaluate(axe);
  const judged = await page.evaluate(() => window.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'],
  }));
  for (const it of judged.violations) {
    problems.push(`${what}: ${it.id}: ${it.help}: ${it.nodes.slice(0, 2).map((node) => node.html).join(' | ')}`);
  }
  if (shots) await page.screenshot({ path: path.join(shots, `${what.replaceAll(/[^\w-]+/g, '_')}.png`), fullPage: true });
}

const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
listen(page);

// With the keyboard alone: from the link in the terminal to the first page.
await page.goto(link);
await look(page, 'invitation en 1280');
await page.keyboard.type(name);
await page.keyboard.press('Tab');
await page.keyboard.type(password);
await page.keyboard.press('Tab');
await page.keyboard.type(password);
await page.keyboard.press('Enter');
await page.waitForURL('**/login*');
await look(page, 'login en 1280');
await page.keyboard.type(name);
await page.keyboard.press('Tab');
await page.keyboard.type(password);
await page.keyboard.press('Tab');
await page.keyboard.press('Enter');
await page.waitForURL(`${address}/`);
await page.keyboard.press('Tab');
const skip = await page.evaluate(() => {
  const box = document.activeElement.getBoundingClientRect();
  return { to: document.activeElement.getAttribute('href'), shown: box.left >= 0 && box.width > 20 };
});
if (skip.to !== '#main' || !skip.shown) problems.push(`the first stop of the keyboard is not the skip link: ${JSON.stringify(skip)}`);
await page.keyboard.press('Enter');
seen.focus = await page.evaluate(() => document.activeElement.id);

// Everything that stands there, in both languages and at both widths.
const hrefs = (selector) => page.$$eval(selector, (all) => all.map((it) => it.getAttribute('href')));
await page.goto(`${address}/reviews`);
const review = (await hrefs('.rows .head a'))[0];
await page.goto(`${address}/customers`);
const customers = await hrefs('.people .head a');
let customer = customers[0];
for (const one of customers) {
  await page.goto(address + one);
  if (await page.$('.values details')) { customer = one; break; }
}
await page.goto(address + customer);
const record = (await hrefs('#records ~ ul .head a'))[0];
const connections = ['erp', 'shop', 'wecom', 'mail'].map((it) => `/connections/${it}`);
const all = ['/', ...connections, '/connections/erp?state=done', '/customers', '/customers?q=nobody-is-called-so', customer, record,
  '/reviews', review, '/dead-letters', '/dead-letters?connection=erp&stage=fetch'];
for (const language of ['en', 'zh']) {
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 900 });
    await page.goto(`${address}/?lang=${language}`);
    for (const one of all) {
      await page.goto(address + one);
      const tag = await page.getAttribute('html', 'lang');
      if (!tag.startsWith(language)) problems.push(`${one}: speaks ${tag}, not ${language}`);
      for (const closed of await page.$$('details:not([open]) > summary')) await closed.click();
      await look(page, `${one === '/' ? 'connections' : one} ${language} ${width}`);
      const text = await page.innerText('main');
      if (language === 'zh' && !/[\u4e00-\u9fff]/.test(text)) problems.push(`${one}: no Chinese`);
    }
  }
}
await page.setViewportSize({ width: 1280, height: 900 });
await page.emulateMedia({ colorScheme: 'dark' });
for (const one of ['/', customer, review]) {
  await page.goto(address + one);
  await look(page, `dark ${one}`);
}
await page.emulateMedia({ colorScheme: 'light' });
await page.goto(`${address}/?lang=en`);

// A name is found by its beginning and by a part of it.
seen.found = {};
for (const text of ['韩梅梅', '梅梅', '韩', 'han.meimei@example.com']) {
  await page.goto(`${address}/customers`);
  await page.fill('#q', text);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/customers?q=*');
  seen.found[text] = await page.$$eval('.people .head a', (links) => links.map((it) => it.textContent));
}

// The page looks again by itself.
await page.goto(`${address}/`);
await page.evaluate(() => document.querySelector('[data-live]').firstElementChild.setAttribute('data-old', ''));
await page.waitForFunction(() => !document.querySelector('[data-old]'), null, { timeout: 15000 });
seen.live = true;

// A dead letter is tried again, by keyboard.
await page.goto(`${address}/dead-letters`);
seen.lettersBefore = (await page.$$('.rows > li')).length;
await page.focus('.rows button[name="one"]');
await page.keyboard.press('Enter');
await page.waitForURL('**said=retried*');
seen.retried = await page.innerText('[role="status"]');
seen.lettersAfter = (await page.$$('.rows > li')).length;

// A review is put off, then decided.
await page.goto(address + review);
await page.click('button[value="later"]');
await page.waitForURL('**said=later');
await page.goto(address + review);
await page.fill('#why', 'they are colleagues');
await page.click('button[value="apart"]');
await page.waitForURL('**said=apart');
seen.decided = await page.innerText('[role="status"]');
await page.goto(address + review);
seen.settled = await page.innerText('.told');

// A connection is paused and goes on.
await page.goto(`${address}/connections/branch`);
await page.click('form[action$="/pause"] button');
await page.waitForURL('**said=paused');
seen.paused = await page.innerText('.health');
if (shots) await page.screenshot({ path: path.join(shots, 'paused.png'), fullPage: true });
await page.click('form[action$="/resume"] button');
await page.waitForURL('**said=resumed');
seen.resumed = await page.innerText('.health');

// What is not there says so.
refusals = 1;
await page.goto(`${address}/customers/999999`);
await look(page, 'missing en 1280');
seen.missing = await page.innerText('h1');
refusals = 0;

// Without scripts the pages work too.
const plain = await browser.newContext({ javaScriptEnabled: false, storageState: await context.storageState() });
const quiet = await plain.newPage();
await quiet.goto(`${address}/`);
seen.cards = (await quiet.$$('.card')).length;
await plain.close();

await page.goto(`${address}/`);
await page.click('form[action="/logout"] button');
await page.waitForURL('**/login*');
await page.goto(`${address}/customers`);
seen.afterLogout = new URL(page.url()).pathname;
await browser.close();
console.log(JSON.stringify({ problems, pages, seen }));

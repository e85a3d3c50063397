// Walks through the console in a real browser, as a person does, and tells what was wrong.
//
// Arguments: the folder of npm packages. Standard input: {"address", "link", "name", "password", "shots"}.
// Standard output: {"problems": [text], "pages": number, "seen": {…}}.
import fs from 'node:fs';
import path from 'node:path';
import { open } from '../browser.mjs';

const { address, link, name, password, shots } = JSON.parse(fs.readFileSync(0, 'utf8'));
const eyes = await open(process.argv[2], shots);
const { browser, problems, listen, look } = eyes;
const seen = {};

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
eyes.refusals = 1;
await page.goto(`${address}/customers/999999`);
await look(page, 'missing en 1280');
seen.missing = await page.innerText('h1');
eyes.refusals = 0;

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
console.log(JSON.stringify({ problems, pages: eyes.pages, seen }));

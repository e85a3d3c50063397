// A real browser, and eyes that find what is wrong on a page: too wide, not for everybody, an error in its console.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

// `tools`: the folder of npm packages; `shots`: a folder for pictures, or nothing.
export async function open(tools, shots) {
  const require = createRequire(path.join(tools, 'package.json'));
  const { chromium } = require('playwright-core');
  const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  // A refused action answers with an error status, which browsers write into their console too: `refusals` says that
  // one is expected.
  const eyes = { browser, problems: [], pages: 0, refusals: 0 };

  eyes.listen = (page) => {
    page.on('console', (it) => {
      if (it.type() === 'error' && eyes.refusals === 0) eyes.problems.push(`console: ${page.url()}: ${it.text()}`);
    });
    page.on('pageerror', (it) => eyes.problems.push(`script: ${page.url()}: ${it.message}`));
    page.on('response', (it) => {
      if (it.status() >= 400 && eyes.refusals === 0) eyes.problems.push(`status ${it.status()}: ${it.url()}`);
    });
  };

  // `place`: the page, or a frame of it.
  eyes.look = async (page, what, place = page) => {
    eyes.pages += 1;
    const { wide, out } = await place.evaluate(() => ({
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      out: [...document.querySelectorAll('main *')].filter((it) => {
        const box = it.getBoundingClientRect();
        return box.width > 1 && box.right > document.documentElement.clientWidth + 1 && !it.closest('svg');
      }).slice(0, 3).map((it) => it.outerHTML.slice(0, 120)),
    }));
    if (wide > 0 || out.length > 0) eyes.problems.push(`${what}: too wide by ${wide}: ${out.join(' | ')}`);
    await place.evaluate(axe);
    const judged = await place.evaluate(() => window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'],
    }));
    for (const it of judged.violations) {
      eyes.problems.push(`${what}: ${it.id}: ${it.help}: ${it.nodes.slice(0, 2).map((node) => node.html).join(' | ')}`);
    }
    if (shots) await page.screenshot({ path: path.join(shots, `${what.replaceAll(/[^\w-]+/g, '_')}.png`), fullPage: true });
  };
  return eyes;
}

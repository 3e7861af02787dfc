/**
 * Headless Chromium for the tests of pages: one JSON command a line on stdin, one
 * JSON answer a line on stdout. Python holds the test; this only holds the browser.
 *
 *     node browser.mjs /usr/bin/chromium
 *     {"do": "open", "url": "http://127.0.0.1:4567/", "page": {"colorScheme": "dark"}}
 */

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.argv[2],
  // Tests run as root in a container, where Chromium's own sandbox cannot start.
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
let page;
const complaints = [];
// What a page has asked for, but for what it holds itself.
const requests = [];
// What a page waits for until it is released.
const held = [];

const commands = {
  async open({ url, page: options, hold }) {
    await page?.context().close();
    page = await (await browser.newContext(options)).newPage();
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (said) => {
      if (said.type() === "error") complaints.push(said.text());
    });
    page.on("request", (asked) => {
      if (!asked.url().startsWith("data:")) requests.push(asked.url());
    });
    if (hold) await page.route(hold, (route) => held.push(route));
    await page.goto(url);
  },
  release: async () => {
    for (const route of held.splice(0)) await route.continue();
    await page.unrouteAll();
  },
  reload: () => page.reload(),
  leave: () => page.goto("about:blank"),
  down: ({ key }) => page.keyboard.down(key),
  up: ({ key }) => page.keyboard.up(key),
  type: ({ text }) => page.keyboard.type(text),
  wheel: ({ by }) => page.mouse.wheel(...by),
  click: ({ selector }) => page.click(selector),
  mouse: ({ move, press }) =>
    move ? page.mouse.move(...move) : press ? page.mouse.down() : page.mouse.up(),
  evaluate: ({ expression }) => page.evaluate(expression),
  // By itself, as Playwright's own way to wait breaks the page's security policy.
  until: async ({ expression, timeout }) => {
    const end = Date.now() + timeout;
    while (!(await page.evaluate(expression))) {
      if (Date.now() > end) throw new Error(`never true: ${expression}`);
      await setTimeout(20);
    }
  },
  screenshot: async ({ path, fullPage }) => {
    await page.screenshot({ path, fullPage });
  },
  complaints: () => complaints.splice(0),
  // What keeps people from using the page as it is now, a line for each kind, by axe-core.
  barriers: async () => {
    const axe = new URL("node_modules/axe-core/axe.min.js", import.meta.url);
    await page.evaluate(await readFile(axe, "utf8"));
    const { violations } = await page.evaluate("axe.run()");
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html}`);
  },
  requests: () => requests.splice(0),
  heap: async () => {
    const session = await page.context().newCDPSession(page);
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    await session.detach();
    return usedSize;
  },
  // What a crash of the page does to its socket, and a freeze.
  crash: async () => {
    const session = await page.context().newCDPSession(page);
    session.send("Page.crash").catch(() => {});
    await page.waitForEvent("crash");
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await commands[name](options)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();

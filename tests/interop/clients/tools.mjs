// Asks one question on a Control UI page; prints, as JSON, what the page shows while the agent works, in the end
// with everything opened, and when it is loaded again.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [chromiumPath, address, lastWords] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: chromiumPath,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const page = await browser.newPage();
page.setDefaultTimeout(30000);
await page.goto(address);

const shown = () =>
  page.evaluate(() => [...document.querySelectorAll(".chat-group")].map((group) => group.innerText).join("\n"));
async function open() {
  await page.evaluate(() => {
    for (const details of document.querySelectorAll(".chat-group details")) details.open = true;
    for (const button of document.querySelectorAll(".chat-group button[aria-expanded=false]")) button.click();
  });
  await page.waitForTimeout(500);
  return shown();
}
const isWorking = () => page.locator(".chat-group--working, .chat-reading-indicator").count();

const composer = page.locator("textarea:visible:enabled").last();
const working = [];
for await (const question of createInterface({ input: process.stdin })) {
  await composer.fill(question);
  await composer.press("Enter");
  for (let last = "", since = Date.now(); Date.now() - since < 1500 || !last.includes(lastWords) || (await isWorking()); ) {
    const now = await shown();
    if (now !== last) {
      [last, since] = [now, Date.now()];
      working.push(now);
    }
    await page.waitForTimeout(50);
  }
}
await page.waitForTimeout(6000); // the newest page looks once more whether the session works
const settled = await shown();
const stillWorks = (await isWorking()) > 0;
const opened = await open();
await page.goto("about:blank");
await page.goto(address);
await page.locator(".chat-group", { hasText: lastWords }).first().waitFor();
await page.waitForTimeout(1500);
console.log(JSON.stringify({ working, settled, stillWorks, opened, again: await open() }));
await browser.close();

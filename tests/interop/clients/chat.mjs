// Chats on a Control UI page. Reads a question a line; prints, as JSON, what the page then shows as said.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [chromiumPath, address] = process.argv.slice(2);
const QUIET = 1500; // as long as nothing has changed, nothing is still to come

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

const said = () =>
  page.evaluate(() =>
    [...document.querySelectorAll(".chat-group .chat-text")].map((text) => [
      text.closest(".chat-group").classList.contains("user") ? "user" : "assistant",
      text.innerText.trim(),
    ]),
  );

async function settledSaid(role) {
  let last = "";
  let since = Date.now();
  for (;;) {
    const now = await said();
    if (JSON.stringify(now) !== last) {
      last = JSON.stringify(now);
      since = Date.now();
    }
    if (Date.now() - since > QUIET && now.at(-1)?.[0] === role) return now;
    await page.waitForTimeout(50);
  }
}

const composer = page.locator("textarea:visible:enabled").last();
for await (const question of createInterface({ input: process.stdin })) {
  await composer.fill(question);
  await composer.press("Enter");
  console.log(JSON.stringify(await settledSaid("assistant")));
}
await browser.close();

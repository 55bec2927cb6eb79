// Asks for a command on a Control UI page, and approves it there; prints the page's text before and after.
import { chromium } from "playwright-core";

const [chromiumPath, address] = process.argv.slice(2);
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
page.setDefaultTimeout(60000);
await page.goto(address);
const composer = page.locator("textarea:visible:enabled").last();
await composer.fill("Run something");
await composer.press("Enter");
const once = page.getByRole("button", { name: /allow once/i }).first();
await once.waitFor();
console.log(JSON.stringify(await page.evaluate(() => document.body.innerText)));
await once.click();
await page.getByText("It has run.").first().waitFor();
console.log(JSON.stringify(await page.evaluate(() => document.body.innerText)));
await browser.close();

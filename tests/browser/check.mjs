// Opens the pages of `segmill report` and `segmill docs` as their readers do: `node check.mjs FILE.html…`. Fails if a page asks anybody for anything, breaks its own
// Content-Security-Policy, has a script error, breaks a rule of WCAG 2.2 AA that axe knows, is wider than the window, needs its script for
// reading, or cannot be sorted and filtered from the keyboard.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { SCHEMES, WIDTHS, launch } from "./browser.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const SECTIONS = ["headline", "changes", "actions", "segments", "heat-map", "flows", "personas", "value", "channels", "quality", "project"];

const files = process.argv.slice(2);
if (!files.length) throw new Error("usage: node check.mjs FILE.html…");
const failures = [];
const browser = await launch();

/** A page that tells of every request but its own, every error and every breach of its policy. */
const open = async (file, options, label) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const url = pathToFileURL(resolve(file)).href;
  const fail = (what) => failures.push(`${label}: ${what}`);
  page.on("request", (request) => { if (request.url().split("#")[0] !== url && !request.url().startsWith("data:")) fail(`request to ${request.url()}`); });
  page.on("pageerror", (error) => fail(`page error: ${error.message}`));
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) fail(`console: ${message.text()}`); });
  page.on("dialog", (dialog) => { fail(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  await page.goto(url);
  return { context, page, fail };
};

const overflow = (page) => page.evaluate(() => {
  const [is, may] = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
  if (is <= may) return null;
  const wide = [...document.querySelectorAll("body *")].filter((of) => !of.closest(".scroll") && of.getBoundingClientRect().right > may + 1);
  return `${is} px in ${may} px, by ${wide.slice(0, 3).map((of) => of.tagName + "." + (of.getAttribute("class") ?? "")).join(", ")}`;
});
const unfold = (page) => page.evaluate(() => document.querySelectorAll("details").forEach((part) => { part.open = true; }));

const look = async (file, width, colorScheme) => {
  const label = `${basename(file)} ${width} ${colorScheme}`;
  const { context, page, fail } = await open(file, { viewport: { width, height: 900 }, colorScheme }, label);
  const wide = await overflow(page);
  if (wide) fail(`horizontal overflow: ${wide}`);
  await unfold(page);
  const wideUnfolded = await overflow(page);
  if (wideUnfolded) fail(`horizontal overflow when all is unfolded: ${wideUnfolded}`);
  await context.close();

  // axe is a script that the policy forbids: it comes into a context of its own, in which the policy does not hold.
  const free = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
  const looked = await free.newPage();
  await looked.goto(pathToFileURL(resolve(file)).href);
  const isLarge = readFileSync(file).length > 1_000_000;
  if (!isLarge) await unfold(looked);
  await looked.evaluate(AXE);
  const found = await looked.evaluate((tags) => axe.run({ runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] }), TAGS);
  for (const violation of found.violations) {
    const nodes = violation.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.any[0]?.message ?? ""}`);
    fail(`axe ${violation.id}, ${violation.nodes.length} times: ${nodes.join(" | ")}`);
  }
  await free.close();
};

/** Whether it is the report of a publication; the page of a project has neither tables to be sorted nor cards. */
const isReport = async (page) => (await page.locator("section#headline").count()) > 0;

const withoutScript = async (file) => {
  const { context, page, fail } = await open(file, { viewport: { width: 768, height: 900 }, javaScriptEnabled: false }, `${basename(file)} without script`);
  const sections = (await isReport(page)) ? SECTIONS : await page.locator("section[id]").evaluateAll((all) => all.filter((of) => !of.closest("details")).map((of) => of.id));
  if (!sections.length) fail("the page has no sections");
  for (const section of sections) if (!(await page.locator(`section#${section}`).isVisible())) fail(`section ${section} is not visible`);
  if (await page.locator(".filter:visible").count()) fail("a filter that cannot work is visible");
  await context.close();
};

const withKeyboard = async (file) => {
  const { context, page, fail } = await open(file, { viewport: { width: 1440, height: 900 } }, `${basename(file)} keyboard`);
  await page.keyboard.press("Tab");
  if (!(await page.evaluate(() => document.activeElement.matches(".skip")))) fail("the first stop is not the link to the report");
  await page.keyboard.press("Enter");
  if (!(await isReport(page))) return context.close();
  const table = page.locator("#segments table.sortable").first();
  const button = table.locator("th[data-sort=number] button").first();
  if (await button.count()) {
    await button.focus();
    for (const [key, wanted] of [["Enter", "descending"], ["Space", "ascending"]]) {
      await page.keyboard.press(key);
      const sorted = await table.evaluate((of) => {
        const values = [...of.tBodies[0].rows].map((row) => Number(row.cells[1].querySelector("data").value));
        const [rising, falling] = [values.every((value, at) => !at || values[at - 1] <= value), values.every((value, at) => !at || values[at - 1] >= value)];
        return { sort: of.querySelector("th[aria-sort]")?.getAttribute("aria-sort"), rising, falling };
      });
      if (sorted.sort !== wanted || !(wanted === "descending" ? sorted.falling : sorted.rising)) fail(`sorting by ${key}: ${JSON.stringify(sorted)}`);
    }
  } else if ((await table.count()) && (await table.locator("tbody tr").count()) > 1) fail("a table cannot be sorted");
  const input = page.locator("#filter-segments");
  if (await input.count()) {
    const row = page.locator("#segments tbody tr[data-name]");
    const all = await row.count();
    const name = (await row.last().getAttribute("data-name")).split(" ").at(-1);
    await input.focus();
    await page.keyboard.type(name);
    const shown = await page.locator("#segments tbody tr[data-name]:visible").count();
    if (!(shown >= 1 && (shown < all || all < 2 || !name))) fail(`the filter ${name} shows ${shown} of ${all}`);
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.press("Delete");
    if ((await page.locator("#segments tbody tr[data-name]:visible").count()) !== all) fail("an empty filter does not show all segments");
  }
  const tipped = page.locator("[data-tip]").first();
  if (await tipped.count()) {
    await tipped.focus();
    if (!(await page.locator("#tip").isVisible())) fail("focus shows no tip");
    await page.keyboard.press("Escape");
    if (await page.locator("#tip").isVisible()) fail("Escape does not close the tip");
  }
  const link = page.locator('#segments a[href^="#segment-"]').last();
  if (await link.count()) {
    await link.focus();
    await page.keyboard.press("Enter");
    await page.waitForTimeout(50);
    const target = (await link.getAttribute("href")).slice(1);
    const isSeen = await page.evaluate((id) => { const of = document.getElementById(id); return !of || of.checkVisibility(); }, target);
    if (!isSeen) fail("a link to a folded card does not unfold it");
  }
  await context.close();
};

for (const file of files) {
  for (const width of WIDTHS) for (const scheme of SCHEMES) await look(file, width, scheme);
  await withoutScript(file);
  await withKeyboard(file);
  console.log(`looked at ${basename(file)}`);
}
await browser.close();
if (failures.length) {
  const unique = [...new Set(failures)];
  console.error(unique.join("\n"));
  console.error(`${unique.length} failures`);
  process.exit(1);
}

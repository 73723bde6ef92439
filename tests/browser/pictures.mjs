// Pictures of a page: `node pictures.mjs FILE OUTDIR [--slices]`. At three widths, light and dark, as a whole (and in slices of a screen), and as PDF.
import { mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { SCHEMES, WIDTHS, launch } from "./browser.mjs";

const [file, to, ...options] = process.argv.slice(2);
if (!to) throw new Error("usage: node pictures.mjs FILE OUTDIR [--slices] [WIDTH-SCHEME…]");
const SLICE = 1500;
mkdirSync(to, { recursive: true });
const wanted = options.filter((option) => !option.startsWith("--"));
const browser = await launch();
const name = basename(file, ".html");
for (const width of WIDTHS) {
  for (const colorScheme of SCHEMES) {
    const label = `${width}-${colorScheme}`;
    if (wanted.length && !wanted.includes(label)) continue;
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    await page.goto(pathToFileURL(resolve(file)).href);
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    if (options.includes("--slices")) {
      for (let at = 0, top = 0; top < height; at++, top += SLICE) {
        const clip = { x: 0, y: top, width, height: Math.min(SLICE, height - top) };
        await page.screenshot({ path: join(to, `${name}-${label}-${String(at).padStart(2, "0")}.png`), fullPage: true, clip });
      }
    } else {
      await page.screenshot({ path: join(to, `${name}-${label}.png`), fullPage: height < 16000, clip: height < 16000 ? undefined : { x: 0, y: 0, width, height: 900 } });
    }
    await context.close();
  }
}
if (!wanted.length || wanted.includes("pdf")) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(pathToFileURL(resolve(file)).href);
  await page.pdf({ path: join(to, `${name}.pdf`), format: "A4", preferCSSPageSize: true });
}
await browser.close();

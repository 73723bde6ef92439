// Starts the browser that is installed, with a profile of its own.
import { chromium } from "playwright-core";

export const WIDTHS = [360, 768, 1440];
export const SCHEMES = ["light", "dark"];

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });

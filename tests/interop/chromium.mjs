// Headless Chromium with a profile of its own that is gone afterwards.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import puppeteer from "puppeteer-core";

const FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-default-browser-check",
    "--ignore-certificate-errors", // rows_secure.mjs
];

export async function launchChromium() {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-chromium-"));
    const browser = await puppeteer.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        headless: true,
        userDataDir: profile,
        args: FLAGS,
        protocolTimeout: 120000,
    });
    const close = async () => {
        await browser.close();
        fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    };
    return { browser, close };
}

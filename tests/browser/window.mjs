// One window of Chromium that shows the demo page, and what a person would do and see in it.
import fs from "node:fs";
import path from "node:path";
import { check } from "../interop/suite.mjs";

const PATIENCE_MS = 20000;

// Runs in the page before its own script: writes down each state that the page shows, however short.
function watch() {
    globalThis.seen = [];
    const look = () => {
        const get = (id) => document.getElementById(id);
        const state = get("state")?.dataset.state;
        if (state && state !== globalThis.seen.at(-1)?.state) {
            const [text, close, shown] = ["state", "close", "countdown"].map((id) => get(id).textContent);
            globalThis.seen.push({ at: performance.now(), state, text, close, shown, delay: Number(get("countdown").dataset.delay) });
        }
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}

export class Window {
    // Each window is a person of its own: nothing is shared with the other windows.
    static async open(browser, url, { width = 1000, height = 700, scheme = "light" } = {}) {
        const window = new Window();
        window.context = await browser.createBrowserContext();
        window.page = await window.context.newPage();
        window.troubles = [];
        window.page.on("pageerror", (error) => window.troubles.push(`error in the page: ${error.message}`));
        window.page.on("console", (message) => {
            if (/Content Security Policy|Refused to/i.test(message.text())) {
                window.troubles.push(message.text());
            }
        });
        window.page.on("request", (request) => {
            if (!request.url().startsWith("data:") && new URL(request.url()).origin !== new URL(url).origin) {
                window.troubles.push(`the page asks for ${request.url()}`);
            }
        });
        await window.page.setViewport({ width, height });
        await window.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await window.page.evaluateOnNewDocument(watch);
        window.response = await window.page.goto(url);
        return window;
    }

    async close() {
        const { troubles } = this;
        await this.context.close();
        check(troubles, [], "troubles of the page");
    }

    text(id) {
        return this.page.$eval(`#${id}`, (element) => element.textContent);
    }

    state() {
        return this.page.$eval("#state", (element) => element.dataset.state);
    }

    // `condition` runs in the page.
    async until(condition, ...rest) {
        await this.page.waitForFunction(condition, { timeout: PATIENCE_MS, polling: 20 }, ...rest);
    }

    untilState(state) {
        return this.until((wanted) => document.getElementById("state").dataset.state === wanted, state);
    }

    untilHeard(from, text) {
        return this.until((name, words) => [...document.querySelectorAll("#log p")].some((line) =>
            (line.querySelector("b")?.textContent ?? "") === name &&
            [...line.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data === words)), from, text);
    }

    // What the page showed from its start, as `watch` wrote it down.
    seen() {
        return this.page.evaluate(() => globalThis.seen);
    }

    // The first `count` waits of the page: {delay, shown, close, lasted}, times in milliseconds.
    async waits(count) {
        await this.until((n) => globalThis.seen.filter((one) => one.state === "waiting").length > n ||
            (globalThis.seen.filter((one) => one.state === "waiting").length === n && globalThis.seen.at(-1).state !== "waiting"),
        count);
        const seen = await this.seen();
        const waits = seen.flatMap((one, i) => (one.state === "waiting" ? [{ ...one, lasted: seen[i + 1]?.at - one.at }] : []));
        return waits.slice(0, count);
    }

    async call(name) {
        await this.page.$eval("#nick", (input, value) => { input.value = value; }, name);
    }

    async say(words) {
        await this.page.focus("#text");
        await this.page.keyboard.sendCharacter(words);
        await this.page.keyboard.press("Enter");
    }

    // The last lines of the log: [class, name, text] each.
    lines() {
        return this.page.$$eval("#log p", (all) => all.map((line) => [line.className,
            line.querySelector("b")?.textContent ?? "",
            [...line.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join("")]));
    }

    async picture(name) {
        const folder = process.env.BROWSER_PICTURES;
        if (folder) {
            fs.mkdirSync(folder, { recursive: true });
            await this.page.bringToFront();
            await this.page.screenshot({ path: path.join(folder, `${name}.png`) });
        }
    }
}

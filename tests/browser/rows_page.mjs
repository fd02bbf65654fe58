// The demo page: two windows talk; the server drains, the page says 1012 and comes back; rooms, names, leaving.
import { setTimeout as sleep } from "node:timers/promises";
import { check, row } from "../interop/suite.mjs";
import { Gateway } from "../interop/gateway.mjs";
import { Window } from "./window.mjs";

const CONFIGURATION = `
listeners: [{address: "127.0.0.1:{port}"}]
admin: {address: "127.0.0.1:{admin}"}
workers: 2
drain: 1s
routes:
  - {path: /, page: demo}
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
`;

export function addPage(world) {
    row("page: two windows talk", () => talk(world));
    row("page: the server drains, the page shows 1012 and reconnects with jittered, growing delays", () => drain(world));
    row("page: a crowd of windows does not come back at one moment", () => jitter(world));
    row("page: the hash and the input choose the room", () => rooms(world));
    row("page: leaving closes with 1000 and does not reconnect; connecting again does", () => leave(world));
    row("page: markup, colons, emoji and binary data are shown as what they are", () => plain(world));
    row("page: every code and reason of a close is shown", () => codes(world));
    row("page: names, roles, keyboard; nothing is wider than a phone, in both colour schemes", () => access(world));
    row("page: nothing is loaded from elsewhere, under the policy that the gateway sends", () => policy(world));
}

// Runs `work` with a gateway and a function that opens windows; every window's troubles count.
async function withWindows({ browser }, work) {
    const windows = [];
    await Gateway.with(CONFIGURATION, async (gateway) => {
        const open = async (hash = "", how = {}) => {
            windows.push(await Window.open(browser, `http://${gateway.address}/${hash}`, how));
            return windows.at(-1);
        };
        try {
            await work(gateway, open);
        } finally {
            const closed = await Promise.allSettled(windows.map((window) => window.close()));
            const bad = closed.find((one) => one.status === "rejected");
            if (bad) {
                throw bad.reason;
            }
        }
    });
}

async function talk(world) {
    await withWindows(world, async (gateway, open) => {
        const [a, b] = [await open(), await open("", { width: 390, height: 780, scheme: "dark" })];
        await Promise.all([a.untilState("open"), b.untilState("open")]);
        await a.call("Ada");
        await b.call("Grace");
        await a.say("Hello from the first window.");
        await Promise.all([a, b].map((one) => one.untilHeard("Ada", "Hello from the first window.")));
        await b.say("And hello from a phone.");
        await Promise.all([a, b].map((one) => one.untilHeard("Grace", "And hello from a phone.")));
        const said = (lines) => lines.filter(([kind]) => kind !== "note");
        check(said(await a.lines()), [["mine", "Ada", "Hello from the first window."], ["", "Grace", "And hello from a phone."]], "a");
        check(said(await b.lines()), [["", "Ada", "Hello from the first window."], ["mine", "Grace", "And hello from a phone."]], "b");
        check([await a.text("state"), await b.text("state")], ["Connected", "Connected"], "state");
        for (const one of [a, b]) {
            await one.until(() => /^\d+(\.\d)? ms$/.test(document.getElementById("trip").textContent));
        }
        await a.picture("talk-light");
        await b.picture("talk-dark-phone");
    });
}

// Each delay lies between half of 500 ms times a power of two and the whole of it, and is kept.
function checkDelays(waits) {
    waits.forEach(({ delay, lasted, shown }, i) => {
        const most = 500 * 2 ** i;
        check(delay >= most / 2 && delay <= most, true, `delay ${i + 1}, ${delay} ms, within ${most / 2} to ${most} ms`);
        // A page that the machine held up sees the begin of its own wait late.
        check(lasted >= delay / 2, true, `wait ${i + 1}, ${lasted} ms, is about ${delay} ms`);
        check(/^in \d+\.\d s \(attempt \d+\)$/.test(shown), true, `the countdown "${shown}" is one`);
    });
}

async function drain({ browser }) {
    let gateway = await Gateway.start(CONFIGURATION);
    const window = await Window.open(browser, `http://${gateway.address}/#work`);
    try {
        await window.untilState("open");
        gateway.child.kill("SIGTERM");
        const waits = await window.waits(3);
        check([waits[0].text, waits[0].close.slice(0, 20)], ["Reconnecting", "1012 service restart"], "after the drain");
        checkDelays(waits);
        await window.picture("drained");
        check((await window.text("close")).startsWith("1012"), true, "1012 still stands there");
        check(await gateway.ended, 0, "exit status");
        await gateway.stop();
        gateway = await Gateway.start(CONFIGURATION, gateway);
        await window.untilState("open");
        check([await window.text("state"), await window.text("countdown")], ["Connected", ""], "state");
        await window.call("Ada");
        await window.say("Here again.");
        await window.untilHeard("Ada", "Here again.");
        await window.picture("reconnected");
    } finally {
        await gateway.stop();
        await window.close();
    }
}

async function jitter({ browser }) {
    const gateway = await Gateway.start(CONFIGURATION);
    const windows = await Promise.all(Array.from({ length: 6 }, () => Window.open(browser, `http://${gateway.address}/`)));
    try {
        await Promise.all(windows.map((window) => window.untilState("open")));
        check(await gateway.stop(), "", "the gateway");
        const waits = await Promise.all(windows.map((window) => window.waits(2)));
        waits.forEach(checkDelays);
        const seconds = waits.map((two) => two[1].delay);
        check(new Set(seconds).size >= 4, true, `at least four different delays are among ${seconds}`);
    } finally {
        await Promise.all(windows.map((window) => window.close()));
    }
}

async function rooms(world) {
    await withWindows(world, async (gateway, open) => {
        const [a, b] = [await open("#kitchen"), await open("#garden%20%C3%BC")];
        await Promise.all([a.untilState("open"), b.untilState("open")]);
        check([await a.text("title"), await b.text("title")], ["# kitchen", "# garden ü"], "rooms");
        await a.call("Ada");
        await a.say("only here");
        await a.untilHeard("Ada", "only here");
        await b.page.$eval("#room", (input) => { input.value = "kitchen"; });
        await b.page.click("#join button");
        await b.until(() => document.getElementById("title").textContent === "# kitchen");
        await b.untilState("open");
        check(await b.page.evaluate(() => location.hash), "#kitchen", "hash");
        await a.say("and now there");
        await b.untilHeard("Ada", "and now there");
        check((await b.lines()).some((line) => line[2] === "only here"), false, "another room's message was heard");
        for (const odd of ["#", "#..", "#%2F", "#%E0%A4%A", `#${"😀".repeat(40)}`]) {
            await b.page.evaluate((hash) => { location.hash = hash; }, odd);
            await sleep(50);
            await b.untilState("open"); // whatever it is, it becomes a room
        }
    });
}

async function leave(world) {
    await withWindows(world, async (gateway, open) => {
        const window = await open();
        await window.untilState("open");
        await window.page.click("#toggle");
        await window.untilState("closed");
        check([await window.text("state"), await window.text("close")], ["Disconnected", "1000 normal"], "shown");
        await sleep(1500);
        check(await window.state(), "closed", "state after a while");
        check(await window.page.$eval("#send", (button) => button.disabled), true, "Send is disabled");
        await window.page.click("#toggle");
        await window.untilState("open");
    });
}

async function plain(world) {
    await withWindows(world, async (gateway, open) => {
        const window = await open("#plain");
        await window.untilState("open");
        const publish = (item) => gateway.ask("POST", "/publish", { channel: "chat.plain", ...item });
        for (const text of ["<img src=x onerror=alert(1)>", "<b>Eve</b>: hi", "a: b: c", "😀 ü", "http://example.com/"]) {
            check((await publish({ text })).status, 200, "publish");
        }
        await publish({ base64: Buffer.alloc(1000).toString("base64") });
        await window.untilHeard("", "1000 bytes of binary data");
        check((await window.lines()).slice(1), [
            ["", "", "<img src=x onerror=alert(1)>"], ["", "<b>Eve</b>", "hi"], ["", "a", "b: c"], ["", "", "😀 ü"],
            ["", "", "http://example.com/"], ["", "", "1000 bytes of binary data"],
        ], "lines");
        check(await window.page.$$eval("#log img", (all) => all.length), 0, "images");
    });
}

async function codes(world) {
    await withWindows(world, async (gateway, open) => {
        const window = await open("#codes");
        for (const [code, reason, shown] of [
            [1001, "", "1001 going away “closed through the admin API”"], [1008, "not you", "1008 policy “not you”"],
            [1011, "oh", "1011 server error “oh”"], [1013, "later", "1013 try again later “later”"], [4321, "ours", "4321 “ours”"],
        ]) {
            await window.untilState("open");
            const { text } = await gateway.ask("GET", "/connections?channel=chat.codes");
            const [{ id }] = JSON.parse(text).connections;
            const query = reason ? `code=${code}&reason=${encodeURIComponent(reason)}` : `code=${code}`;
            check((await gateway.ask("DELETE", `/connections/${id}?${query}`)).status, 200, "DELETE");
            await window.until((wanted) => document.getElementById("close").textContent === wanted, shown);
            await window.page.evaluate(() => document.getElementById("state").dataset.state === "waiting" &&
                document.getElementById("toggle").click()); // Connect now
        }
    });
}

// What a screen reader is told, from Chromium's own accessibility tree.
async function access(world) {
    await withWindows(world, async (gateway, open) => {
        const window = await open("", { width: 320, height: 568 });
        await window.untilState("open");
        const names = [];
        const walk = (node) => {
            names.push(`${node.role} ${node.name ?? ""}`.trim());
            node.children?.forEach(walk);
        };
        walk(await window.page.accessibility.snapshot({ interestingOnly: false }));
        for (const wanted of ["textbox Name", "textbox Room", "textbox Message", "button Send", "button Join",
            "button Leave", "log Messages", "heading Holdfast # lobby"]) {
            check(names.includes(wanted), true, `the accessibility tree has "${wanted}"`);
        }
        check(names.some((name) => name.startsWith("status")), true, "the accessibility tree has a status");
        for (const scheme of ["light", "dark"]) {
            await window.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
            const least = await window.page.evaluate(contrast);
            check(least >= 4.5, true, `contrast of ${least.toFixed(2)} in ${scheme}`);
        }
        await window.call("Ada");
        await window.say("x".repeat(500));
        await window.untilHeard("Ada", "x".repeat(500));
        const wide = await window.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(wide <= 0, true, `${wide} pixels too wide`);
        await window.picture("narrow");
    });
}

// The least contrast of text on its background among the texts that are shown (WCAG 2.1, 1.4.3). Runs in the page.
function contrast() {
    const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = parts(colour).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return parts(colour)[3] === 0 ? ground(element.parentElement) : colour;
    };
    const shown = [...document.querySelectorAll("h1, h1 span, label:not(.away), dt, dd, button, input, #log p, #log small")];
    const ratios = shown.filter((element) => !element.disabled).map((element) => {
        const [x, y] = [light(getComputedStyle(element).color), light(ground(element))];
        return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    });
    return Math.min(...ratios);
}

async function policy(world) {
    await withWindows(world, async (gateway, open) => {
        const window = await open();
        await window.untilState("open");
        const fields = window.response.headers();
        check(/default-src 'none'/.test(fields["content-security-policy"]), true, "Content-Security-Policy");
        check(fields["content-type"], "text/html; charset=utf-8", "Content-Type");
        const resources = await window.page.evaluate(() => performance.getEntriesByType("resource")
            .map((one) => one.name).filter((name) => !name.startsWith("data:")));
        check(resources, [], "loaded resources");
        check(await window.page.title(), "Holdfast chat", "title");
    });
}

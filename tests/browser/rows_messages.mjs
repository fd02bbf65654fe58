// Messages of 0 B to 16 MiB from a page of Chromium and back, checked where they were made.
import fs from "node:fs";
import { check, row } from "../interop/suite.mjs";
import { Gateway } from "../interop/gateway.mjs";

const KiB = 1024, MiB = 1024 * KiB;
const SIZES = [0, 1, 125, 126, 65535, 65536, MiB, 16 * MiB];
const CONFIGURATION = `
listeners: [{address: "127.0.0.1:{port}"}]
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {message: 16MiB}
drain: 1s
routes:
  - {path: /, page: demo}
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
`;
const CLIENT = new URL("../interop/client.mjs", import.meta.url);

export function addMessages(world) {
    for (const kind of ["text", "binary"]) {
        row(`messages: ${kind} from 0 B to 16 MiB on an echo`, () => sizes(world, kind, "/echo", false));
        row(`messages: ${kind} from 0 B to 16 MiB on a channel, between two connections`,
            () => sizes(world, kind, "/chat/sizes", true), { tier: "all" });
    }
    row("messages: one byte more than 16 MiB is closed with 1009", () => tooLarge(world));
}

async function withWords({ browser }, work) {
    await Gateway.with(CONFIGURATION, async (gateway) => {
        const page = await browser.newPage();
        try {
            await page.goto(`http://${gateway.address}/`);
            await page.evaluate(fs.readFileSync(CLIENT, "utf8"));
            await page.evaluate(() => {
                globalThis.words = globalThis.interopClient(WebSocket, 60000);
            });
            await work(gateway, (word, ...rest) => page.evaluate((name, list) => globalThis.words[name](...list), word, rest));
        } finally {
            await page.close();
        }
    });
}

async function sizes(world, kind, path, hasReader) {
    await withWords(world, async (gateway, call) => {
        const { number } = await call("open", gateway.url(path));
        const reader = hasReader ? (await call("open", gateway.url(path))).number : 0;
        for (const size of SIZES) {
            await call("send", number, kind, size, size % 7);
            await call("expect", number, kind, size, size % 7);
            if (hasReader) {
                await call("expect", reader, kind, size, size % 7);
            }
        }
        check((await call("close", number, 1000, "")).code, 1000, "close code");
    });
}

async function tooLarge(world) {
    await withWords(world, async (gateway, call) => {
        const { number } = await call("open", gateway.url("/echo"));
        await call("send", number, "binary", 16 * MiB + 1, 1);
        const end = await call("closed", number);
        check([end.code, end.clean], [1009, true], "end");
    });
}

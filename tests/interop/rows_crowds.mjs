// Many clients at once, of one kind and of all kinds, and what they see when the server drains.
import { check, row } from "./suite.mjs";
import { Gateway } from "./gateway.mjs";

const DRAINED = `
listeners: [{address: "127.0.0.1:{port}"}]
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {connections: 10000}
drain: 1s
routes:
  - {path: /echo, echo: {}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
`;

export function addCrowds(world) {
    const names = Object.keys(world.clients);
    for (const name of names) {
        row(`${name}: a crowd of 50 hears one order`, () => crowd(world, name, 50));
        row(`${name}: a crowd of ${largest(name)} hears one order`, () => crowd(world, name, largest(name)), { tier: "all" });
    }
    row("all: 50 each, side by side, on one channel each", () =>
        Promise.all(names.map((name) => crowd(world, name, 50))));
    row("all: 30 each are closed with 1012 when the server drains", () => drain(world, 30));
    row("all: what was on its way comes before the 1012, 4 MiB each", () => drainLarge(world));
    row("all: 200 each are closed with 1012 when the server drains", () => drain(world, 200), { tier: "all" });
}

// Chromium opens at most 255 at a time.
function largest(name) {
    return name === "ws" || name === "undici" ? 400 : 200;
}

async function crowd({ gateway, clients, room }, name, size) {
    const order = await clients[name].call("crowd", gateway.url(`/chat/${room()}`), size);
    check([...order].sort((a, b) => a - b), Array.from({ length: size }, (_, i) => i), "words heard");
}

async function drain({ clients }, size) {
    const all = Object.values(clients);
    await Gateway.with(DRAINED, async (gateway) => {
        await Promise.all(all.map(({ call }) => call("hold", gateway.url("/chat/drain"), size)));
        gateway.child.kill("SIGTERM");
        const ends = await Promise.all(all.map(({ call }) => call("heldEnds")));
        check(ends.flat().length, size * all.length, "ends");
        for (const end of ends.flat()) {
            check([end.code, end.clean], [1012, true], "end");
        }
        check(await gateway.ended, 0, "exit status");
    });
}

// Each client has one large echo on its way when the server is told to drain.
async function drainLarge({ clients }) {
    const all = Object.values(clients);
    await Gateway.with(DRAINED.replace("connections: 10000", "connections: 10000, message: 16MiB"), async (gateway) => {
        const numbers = await Promise.all(all.map(async ({ call }) => (await call("open", gateway.url("/echo"))).number));
        await Promise.all(all.map(({ call }, i) => call("send", numbers[i], "binary", 4 << 20, i)));
        const deadline = performance.now() + 20000;
        while ((await gateway.metric("holdfast_messages_in_total")) < all.length && performance.now() < deadline) {
            await new Promise((resolve) => setTimeout(resolve, 2));
        }
        gateway.child.kill("SIGTERM");
        gateway.child.kill("SIGTERM");
        await Promise.all(all.map(async ({ call }, i) => {
            await call("expect", numbers[i], "binary", 4 << 20, i);
            const end = await call("closed", numbers[i]);
            check([end.code, end.clean], [1012, true], "end");
        }));
        check(await gateway.ended, 0, "exit status");
    });
}

// Messages of every size, text and binary, both ways: on an echo, on a channel, whole and in fragments, with pings between.
import { check, row } from "./suite.mjs";

const KiB = 1024, MiB = 1024 * KiB;
const SIZES = [0, 1, 125, 126, 65535, 65536, MiB, 16 * MiB];
const SAMPLE = new Set([0, 125, 126, 65536]);
const KINDS = ["text", "binary"];

export function addMessages(world) {
    const names = Object.keys(world.clients);
    for (const name of names) {
        for (const kind of KINDS) {
            for (const size of SIZES) {
                const large = name !== "chromium" && kind === "binary"; // tests/browser has Chromium's
                const tier = SAMPLE.has(size) || large ? "ci" : "all";
                row(`${name}: echo of ${kind}, ${size} B`, () => echo(world, name, kind, size), { tier });
                row(`${name}: channel of ${kind}, ${size} B`, () => channel(world, name, name, kind, size), { tier });
            }
        }
        row(`${name}: 100 messages on their way at once keep their order`, () => burst(world, name));
        row(`${name}: an echo goes on after 16 MiB`, () => afterLarge(world, name), { tier: "all" });
    }
    for (const from of names) {
        for (const to of names.filter((one) => one !== from)) {
            for (const kind of KINDS) {
                for (const size of [0, 125, 65536, 16 * MiB]) {
                    const tier = size === 125 && kind === "text" ? "ci" : "all";
                    row(`${from} to ${to}: ${kind}, ${size} B`, () => channel(world, from, to, kind, size),
                        { tier, lane: "pairs" });
                }
            }
        }
    }
    for (const name of names.filter((one) => one === "ws" || one === "python")) {
        for (const kind of KINDS) {
            for (const [size, count] of [[1, 1], [3, 3], [126, 7], [65536, 16], [MiB, 64], [16 * MiB, 100]]) {
                const tier = size <= 65536 ? "ci" : "all";
                row(`${name}: ${kind}, ${size} B in ${count} frames with pings between`,
                    () => fragments(world, name, kind, size, count), { tier });
            }
        }
        for (const payload of ["", "p", "x".repeat(125)]) {
            row(`${name}: a ping of ${payload.length} B is answered`, () => ping(world, name, payload));
        }
    }
}

async function echo({ gateway, clients }, name, kind, size) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/echo"));
    await call("send", number, kind, size, 1);
    await call("expect", number, kind, size, 1);
    check((await call("close", number, 1000, "")).code, 1000, "close code");
}

// `from` sends; its own copy comes back, and `to` gets one.
async function channel({ gateway, clients, room }, from, to, kind, size) {
    const url = gateway.url(`/chat/${room()}`), sender = clients[from].call, reader = clients[to].call;
    const [a, b] = [(await sender("open", url)).number, (await reader("open", url)).number];
    const seeds = size > 65536 ? [2] : [2, 3]; // two large ones at once may exceed the queue, rightly
    for (const seed of seeds) {
        await sender("send", a, kind, size, seed);
    }
    for (const seed of seeds) {
        await Promise.all([sender("expect", a, kind, size, seed), reader("expect", b, kind, size, seed)]);
    }
    await sender("close", a, 1000, "");
    check((await reader("close", b, 1000, "")).code, 1000, "close code");
}

async function burst({ gateway, clients }, name) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/echo"));
    const plan = Array.from({ length: 100 }, (_, i) => [KINDS[i % 2], (i * i * 7) % 3000, i]);
    await Promise.all(plan.map((one) => call("send", number, ...one)));
    for (const one of plan) {
        await call("expect", number, ...one);
    }
    await call("close", number, 1000, "");
}

async function afterLarge({ gateway, clients }, name) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/echo"));
    for (const size of [16 * MiB, 1, 16 * MiB, 0, 125]) {
        await call("send", number, "binary", size, 5);
    }
    for (const size of [16 * MiB, 1, 16 * MiB, 0, 125]) {
        await call("expect", number, "binary", size, 5);
    }
    await call("close", number, 1000, "");
}

async function fragments({ gateway, clients, room }, name, kind, size, count) {
    const { call } = clients[name];
    for (const path of ["/echo", `/chat/${room()}`]) {
        const { number } = await call("open", gateway.url(path));
        await call("fragments", number, kind, size, 4, count);
        await call("expect", number, kind, size, 4);
        await call("close", number, 1000, "");
    }
}

async function ping({ gateway, clients }, name, payload) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/echo"));
    check(await call("ping", number, payload), payload, "pong");
    await call("close", number, 1000, "");
}

// Close codes both ways: the client's own, the operator's, and those that a broken rule brings.
import { check, row } from "./suite.mjs";
import { Gateway } from "./gateway.mjs";

const LONGEST = "ü".repeat(61) + "!"; // 123 bytes

export function addClosing(world) {
    for (const name of Object.keys(world.clients)) {
        for (const code of [1000, 3000, 4999]) {
            row(`${name}: closes with ${code}`, () => byClient(world, name, code, "done"));
        }
        row(`${name}: closes with the longest reason`, () => byClient(world, name, 4000, LONGEST));
        for (const code of [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4999]) {
            row(`${name}: is closed by the operator with ${code}`, () => byOperator(world, name, code, "so be it"));
        }
        row(`${name}: is closed by the operator with the longest reason`, () => byOperator(world, name, 4001, LONGEST));
        for (const [path, kind, size, code] of [
            ["/text", "binary", 10, 1003], ["/binary", "text", 10, 1003], ["/small", "text", 1001, 1009],
            ["/small", "binary", 100000, 1009], ["/rooms?envelope=json", "text", 10, 1007],
        ]) {
            row(`${name}: ${size} B of ${kind} on ${path} is closed with ${code}`,
                () => byRule(world, name, path, kind, size, code));
        }
        row(`${name}: exactly the largest message is let through`, () => largest(world, name));
        row(`${name}: is closed with 1001 when it is too old`, () => byTime(world, name, "/short"));
        row(`${name}: is closed with 1001 when it is idle`, () => byTime(world, name, "/quiet"));
    }
    row("all: every client answers the pings of the server by itself", () =>
        Promise.all(Object.keys(world.clients).map((name) => watched(world, name))));
    for (const name of Object.keys(world.clients).filter((one) => one !== "python")) {
        row(`${name}: closes without a code`, () => withoutCode(world, name));
    }
    // The standard's interface lets only 1000 and 3000 to 4999 through.
    for (const name of Object.keys(world.clients).filter((one) => one === "ws" || one === "python")) {
        for (const code of [1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]) {
            row(`${name}: closes with ${code}`, () => byClient(world, name, code, "done"));
        }
    }
    if (world.clients.ws) {
        row("ws: text that is not UTF-8 is closed with 1007", () => invalidText(world));
        row("ws: clients that vanish in the middle of a message, or without reading, leave nothing", () => vanish(world));
        row("ws: a reader that stopped is closed with 1013, and learns it when it reads again", () => slowReader(world));
    }
}

async function byClient({ gateway, clients }, name, code, reason) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/echo"));
    const end = await call("close", number, code, reason);
    check([end.code, end.clean], [code, true], "end");
}

async function withoutCode({ gateway, clients }, name) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/echo"));
    check(await call("close", number), { code: 1005, reason: "", clean: true }, "end");
}

async function byOperator({ gateway, clients, room }, name, code, reason) {
    const { call } = clients[name];
    const here = room();
    const { number } = await call("open", gateway.url(`/chat/${here}`));
    const found = JSON.parse((await gateway.ask("GET", `/connections?channel=chat.${here}`)).text);
    check(found.connections.length, 1, "connections of the channel");
    const query = `code=${code}&reason=${encodeURIComponent(reason)}`;
    const answer = await gateway.ask("DELETE", `/connections/${found.connections[0].id}?${query}`);
    check(answer.status, 200, answer.text);
    check(await call("closed", number), { code, reason, clean: true }, "end");
}

async function byRule({ gateway, clients }, name, path, kind, size, code) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url(path));
    await call("send", number, kind, size, 6);
    const end = await call("closed", number);
    check([end.code, end.clean], [code, true], "end");
}

async function largest({ gateway, clients }, name) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/small"));
    await call("send", number, "text", 1000, 6);
    await call("expect", number, "text", 1000, 6);
    await call("close", number, 1000, "");
}

async function byTime({ gateway, clients }, name, path) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url(path));
    const end = await call("closed", number);
    check([end.code, end.clean], [1001, true], "end");
}

// Three pings, and it is still there. Alone: in a busy process a pong may come too late.
async function watched({ gateway, clients }, name) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.url("/watched"));
    await new Promise((resolve) => setTimeout(resolve, 3500));
    const all = JSON.parse((await gateway.ask("GET", "/connections?route=/watched")).text).connections;
    const found = all.filter((one) => one.age_ms > 3000); // others have just come
    if (found.length === 0 || found.some((one) => !(one.round_trip_us > 0))) {
        throw new Error(`no pong in 3.5 s with a ping each second: ${JSON.stringify(found)}`);
    }
    await call("send", number, "text", 10, 7);
    await call("expect", number, "text", 10, 7);
    await call("close", number, 1000, "");
}

async function invalidText({ gateway, clients }) {
    const { call } = clients.ws;
    const { number } = await call("open", gateway.url("/echo"));
    await call("sayInvalid", number);
    const end = await call("closed", number);
    check([end.code, end.clean], [1007, true], "end");
}

// What they leave is found when the whole run ends.
async function vanish({ gateway, clients, room }) {
    const { call } = clients.ws;
    for (const path of ["/echo", `/chat/${room()}`, "/rooms?envelope=json"]) {
        for (let i = 0; i < 10; i++) {
            const { number } = await call("open", gateway.url(path));
            await call("begin", number, i * 10000);
            await call("vanish", number);
            check((await call("closed", number)).code, 1006, "end");
        }
    }
    const url = gateway.url(`/chat/${room()}`);
    const deaf = (await call("open", url)).number, other = (await call("open", url)).number;
    await call("pause", deaf);
    for (let i = 0; i < 3; i++) {
        await call("send", other, "binary", 4 << 20, i);
        await call("expect", other, "binary", 4 << 20, i);
    }
    await call("vanish", deaf);
    await call("close", other, 1000, "");
}

const NARROW = `
listeners: [{address: "127.0.0.1:{port}"}]
admin: {address: "127.0.0.1:{admin}"}
workers: 2
backpressure: {queue: 64KiB, kernel: 64KiB, stall: 10m}
keepalive: {ping: 10m}
drain: 1s
routes: [{path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}]
`;

// The stopped reader's kernel takes some megabytes first, which may take a busy machine longer than a reader that answers
// no ping has (that would be 1011): pings and the deadline for a stalled send are put off, so that the queue decides.
async function slowReader({ clients }) {
    const { call } = clients.ws;
    await Gateway.with(NARROW, async (gateway) => {
        const slow = (await call("open", gateway.url("/chat/slow"))).number;
        const quick = (await call("open", gateway.url("/chat/slow"))).number;
        await call("pause", slow);
        const closing = async () => JSON.parse((await gateway.ask("GET", "/connections?state=closing")).text).connections;
        for (let i = 0; (await closing()).length === 0; i++) {
            if (i === 1000) {
                throw new Error("60 MB wait for a reader that stopped");
            }
            await call("send", quick, "binary", 60000, i);
            await call("expect", quick, "binary", 60000, i);
        }
        await call("resume", slow);
        const end = await call("closed", slow);
        check([end.code, end.clean], [1013, true], "end");
        await call("close", quick, 1000, "");
    });
}

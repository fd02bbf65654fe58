// What is agreed before the first message: subprotocol, extensions, Origin, refusals; and the envelope on top.
import { request } from "undici";
import { check, fails, row } from "./suite.mjs";

export function addNegotiation(world) {
    for (const name of Object.keys(world.clients)) {
        row(`${name}: the server's preference decides the subprotocol`, async () => {
            await protocol(world, name, ["chat.v1", "chat.v2"], "chat.v2");
            await protocol(world, name, ["other", "chat.v1"], "chat.v1");
            await protocol(world, name, undefined, "");
        });
        row(`${name}: no common subprotocol is no subprotocol`, () => noProtocol(world, name));
        row(`${name}: compression is agreed to, as every one of them offers it`, async () => {
            const { call } = world.clients[name];
            const { number, extensions } = await call("open", world.gateway.url("/echo"));
            check(/permessage-deflate/.test(extensions), true, `agreed in ${JSON.stringify(extensions)}`);
            await call("close", number, 1000, "");
        });
        row(`${name}: paths that are refused`, async () => {
            for (const path of ["/nowhere", "/", "/chat/", "/chat/a%2Fb", `/chat/${"x".repeat(129)}`]) {
                await fails(world.clients[name].call("open", world.gateway.url(path)), /not opened/);
            }
        });
        row(`${name}: names that need escapes meet in one room`, () => escapes(world, name));
        row(`${name}: envelope: subscribe, publish, unsubscribe`, () => envelope(world, name));
        row(`${name}: echo_self: false spares the sender its own message`, () => othersOnly(world, name));
        row(`${name}: a POST comes as a message`, () => post(world, name));
    }
    if (world.clients.chromium) {
        row("chromium: the Origin of a page decides", () => origins(world));
    }
}

async function protocol({ gateway, clients }, name, offered, wanted) {
    const { call } = clients[name];
    const { number, protocol: chosen } = await call("open", gateway.url("/versions"), offered);
    check(chosen, wanted, "subprotocol");
    await call("close", number, 1000, "");
}

// The standard's interface fails by itself when none of the offered ones is chosen; python3-websockets goes on.
async function noProtocol({ gateway, clients }, name) {
    const opened = clients[name].call("open", gateway.url("/versions"), ["other"]);
    if (name === "python") {
        check((await opened).protocol, "", "subprotocol");
    } else {
        await fails(opened, /not opened/);
    }
}

async function escapes({ gateway, clients, room }, name) {
    const { call } = clients[name];
    const here = room();
    const paths = [`/chat/${here}%20%C3%BC%41~`, `/chat/${here}%20%c3%bcA%7E`];
    const numbers = [];
    for (const path of paths) {
        numbers.push((await call("open", gateway.url(path))).number);
    }
    await call("say", numbers[0], "here?");
    for (const number of numbers) {
        check(await call("hear", number), "here?", "message");
        await call("close", number, 1000, "");
    }
}

async function envelope({ gateway, clients, room }, name) {
    const { call } = clients[name];
    const channel = `room.${room()}`;
    const { number } = await call("open", gateway.url("/rooms?envelope=json"));
    const ask = async (question) => {
        await call("say", number, JSON.stringify(question));
        return JSON.parse(await call("hear", number));
    };
    check((await ask({ subscribe: channel })).subscribed, channel, "subscribed");
    await call("say", number, JSON.stringify({ publish: channel, data: "ü\n\"😀" }));
    const heard = [JSON.parse(await call("hear", number)), JSON.parse(await call("hear", number))];
    const message = heard.find((one) => one.data !== undefined);
    check([message?.channel, message?.data], [channel, "ü\n\"😀"], "message");
    check(typeof message.id, "string", "kind of id");
    check("error" in (await ask({ subscribe: "elsewhere.1" })), true, "refusal of a channel outside allow");
    check((await ask({ unsubscribe: channel })).unsubscribed, channel, "unsubscribed");
    await call("close", number, 1000, "");
}

async function othersOnly({ gateway, clients, room }, name) {
    const { call } = clients[name];
    const url = gateway.url(`/others/${room()}`);
    const [a, b] = [(await call("open", url)).number, (await call("open", url)).number];
    await call("say", a, "from a");
    check(await call("hear", b), "from a", "b's first");
    await call("say", b, "from b");
    check(await call("hear", a), "from b", "a's first");
    await call("close", a, 1000, "");
    await call("close", b, 1000, "");
}

async function post({ gateway, clients, room }, name) {
    const { call } = clients[name];
    const path = `/chat/${room()}`;
    const { number } = await call("open", gateway.url(path));
    const { utf8, bytes } = globalThis.interopPayload;
    for (const [kind, size, type] of [["text", 0, "text/plain"], ["text", 1000, "text/plain"],
        ["binary", 100000, "application/octet-stream"]]) {
        const body = Buffer.from(kind === "text" ? utf8(size, 8) : bytes(size, 8));
        const answer = await request(`http://${gateway.address}${path}`, { method: "POST", body, headers: { "content-type": type } });
        const text = await answer.body.text();
        check(Math.floor(answer.statusCode / 100), 2, `status of a POST of ${size} B (${answer.statusCode} ${text})`);
        await call("expect", number, kind, size, 8);
    }
    await call("close", number, 1000, "");
}

// /mine lists the page's own origin, /strange another one; the clients outside a browser send none.
async function origins({ gateway, clients }) {
    const { call } = clients.chromium;
    const { number } = await call("open", gateway.url("/mine"));
    await call("close", number, 1000, "");
    await fails(call("open", gateway.url("/strange")), /not opened/);
    await fails(clients.ws.call("open", gateway.url("/mine")), /not opened/);
    const without = await clients.ws.call("open", gateway.url("/strange"));
    await clients.ws.call("close", without.number, 1000, "");
}

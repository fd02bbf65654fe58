// WebSocket services that nobody here wrote behind `tunnel` and `proxy` routes, with their own clients in front.
import { createRequire } from "node:module";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "graphql-ws";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { Gateway } from "./gateway.mjs";
import { check, row } from "./suite.mjs";
import { graphqlService, socketService, wampService } from "./services.mjs";

const { warn } = console;
console.warn = () => {}; // autobahn keeps the function it finds, and tells every end
const autobahn = createRequire(import.meta.url)("autobahn");
console.warn = warn;
const CONFIGURATION = `
listeners:
  - {address: "127.0.0.1:{port}"}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {message: 4MiB}
upstreams:
  graphql: {servers: ["http://127.0.0.1:GRAPHQL"]}
  chat: {servers: ["http://127.0.0.1:CHAT1", "http://127.0.0.1:CHAT2"], balance: "hash:cookie:user"}
  wamp: {servers: ["http://127.0.0.1:WAMP"]}
routes:
  - {path: /graphql, tunnel: {upstream: graphql}, subprotocols: [graphql-transport-ws]}
  - {path: /graphql, proxy: {upstream: graphql}}
  - {path: "/socket.io/*", proxy: {upstream: chat}}
  - {path: /wamp, tunnel: {upstream: wamp}, subprotocols: [wamp.2.json]}
`;
// Mostly small, every length form, some larger than a receive buffer and than a piece of a send.
export function sizes(count) {
    const few = [1, 7, 125, 126, 300, 2047, 4096, 65535, 65536, 200000];
    return Array.from({ length: count }, (_, i) => (i % 10 === 9 ? few[5 + (Math.floor(i / 10) % 5)] : few[i % 5]) + (i % 3));
}

export function textOf(size, seed) {
    return new TextDecoder().decode(globalThis.interopPayload.utf8(size, seed));
}

export async function within(promise, what, ms = 120000) {
    const late = sleep(ms, undefined, { ref: false }).then(() => {
        throw new Error(`nothing for ${ms} ms: ${what}`);
    });
    return Promise.race([promise, late]);
}

export async function until(done, what, ms = 60000) {
    for (const end = performance.now() + ms; !done(); ) {
        if (performance.now() > end) {
            throw new Error(`after ${ms} ms still not: ${what}`);
        }
        await sleep(2);
    }
}

// Everything that these rows share: started by the first of them.
let shared;
function services() {
    shared ??= (async () => {
        const [graphql, one, two, wamp] =
            await Promise.all([graphqlService(), socketService("one"), socketService("two"), wampService()]);
        const text = CONFIGURATION.replace("GRAPHQL", graphql.port).replace("CHAT1", one.port)
            .replace("CHAT2", two.port).replace("WAMP", wamp.port);
        return { graphql, one, two, wamp, gateway: await Gateway.start(text) };
    })();
    return shared;
}

// What the gateway should not have done, as a text.
export async function endServices() {
    if (shared === undefined) {
        return "";
    }
    const { gateway, ...rest } = await shared;
    const trouble = await gateway.stop();
    await Promise.all(Object.values(rest).map((one) => one.close()));
    return trouble;
}

export function addTunnels() {
    const lane = "services"; // one after another: they share this process with everybody's clients
    for (const [count, tier] of [[40, "ci"], [300, "all"]]) {
        const how = { tier, lane: tier === "ci" ? lane : "all" }; // the long ones do not hold up others' clients
        row(`graphql-ws: ${count} operations and as many events, of mixed sizes`, () => graphqlMessages(count), how);
        row(`graphql-ws: ${count} POSTs at the same path are heard by its subscribers`, () => graphqlPosts(count), how);
        row(`socket.io: ${count} messages each way by polling, and by WebSocket`, () => socketMessages(count), how);
        row(`wamp: ${count} events and calls between two autobahn sessions`, () => wampMessages(count), how);
    }
    row("graphql-ws: its subprotocol is agreed on, and no other", graphqlSubprotocols, { lane });
    row("graphql-ws: its close codes arrive, and the client's at the service", graphqlCloses, { lane });
    row("socket.io: polling, then the upgrade, at the server that the cookie chose", socketUpgrades, { lane });
    row("socket.io: it ends from both sides", socketEnds, { lane });
    row("wamp: sessions end from both sides", wampEnds, { lane });
}

// --- graphql-ws

async function graphqlClient(options = {}) {
    const { gateway } = await services();
    return createClient({ url: gateway.url("/graphql"), webSocketImpl: WebSocket, retryAttempts: 0, lazy: false, ...options });
}

const ECHO = "query Echo($text: String!) { echo(text: $text) }";
const SAY = "mutation Say($room: String!, $text: String!) { say(room: $room, text: $text) }";
const HEARD = "subscription Heard($room: String!) { heard(room: $room) }";

function operation(client, query, variables) {
    return new Promise((resolve, reject) => {
        let last;
        const sink = { next: (value) => (last = value), error: reject, complete: () => resolve(last) };
        client.subscribe({ query, variables }, sink);
    });
}

// Events of a room as they come; `wait(n)` until there were so many.
async function listener(client, room) {
    const heard = [];
    const sink = { next: ({ data }) => heard.push(data.heard), error: () => {}, complete: () => {} };
    client.subscribe({ query: HEARD, variables: { room } }, sink);
    for (let i = 0; heard.length === 0; i++) { // a subscription is not acknowledged
        await operation(client, SAY, { room, text: "first" });
        await sleep(5);
        check(i < 200, true, "the subscription works");
    }
    await sleep(50);
    heard.length = 0;
    return { heard, wait: (count) => until(() => heard.length >= count, `${heard.length} of ${count} events`) };
}

async function graphqlMessages(count) {
    const client = await graphqlClient();
    const { heard, wait } = await listener(client, "messages");
    const texts = sizes(count).map((size, i) => textOf(size, i));
    const echoes = await within(Promise.all(texts.map((text) => operation(client, ECHO, { text }))), "echoes");
    echoes.forEach(({ data }, i) => check(data.echo === texts[i], true, `echo ${i}`));
    for (const text of texts) {
        client.subscribe({ query: SAY, variables: { room: "messages", text } }, { next() {}, error() {}, complete() {} });
    }
    await wait(count);
    texts.forEach((text, i) => check(heard[i] === text, true, `event ${i}`));
    await client.dispose();
}

async function graphqlPosts(count) {
    const { gateway } = await services();
    const client = await graphqlClient();
    const { heard, wait } = await listener(client, "posts");
    const texts = sizes(count).map((size, i) => textOf(size, i));
    for (const text of texts) {
        const answer = await fetch(`http://${gateway.address}/graphql`, {
            method: "POST", headers: { "Content-Type": "application/json" },
            body: JSON.stringify({ query: SAY, variables: { room: "posts", text } }),
        });
        check([answer.status, (await answer.json()).data.say], [200, true], "answer to a POST");
    }
    await wait(count);
    texts.forEach((text, i) => check(heard[i] === text, true, `event ${i}`));
    await client.dispose();
}

async function graphqlSubprotocols() {
    const { gateway } = await services();
    const agreed = new WebSocket(gateway.url("/graphql"), ["other", "graphql-transport-ws"]);
    await once(agreed, "open");
    check(agreed.protocol, "graphql-transport-ws", "subprotocol");
    agreed.close(1000);
    await once(agreed, "close");
    const other = new WebSocket(gateway.url("/graphql"));
    const [code] = await once(other, "close");
    check(code, 4406, "the service's close code for no subprotocol");
}

async function graphqlCloses() {
    const { gateway, graphql } = await services();
    const open = async () => {
        const socket = new WebSocket(gateway.url("/graphql"), "graphql-transport-ws");
        await once(socket, "open");
        return socket;
    };
    for (const [text, wanted] of [["{", 4400], ['{"type":"subscribe","id":"1","payload":{"query":"{a}"}}', 4401]]) {
        const socket = await open();
        socket.send(text);
        const [code, reason] = await once(socket, "close");
        check([code, reason.length > 0], [wanted, true], "close code and reason of the service");
        await until(() => graphql.closes.includes(wanted), "the client's answer reaches the service");
    }
    for (const code of [1000, 1001, 3000, 4999]) {
        graphql.closes.length = 0;
        const socket = await open();
        socket.close(code, "bye");
        const [echoed] = await once(socket, "close");
        await until(() => graphql.closes.length > 0, "the service sees the close");
        check([echoed, graphql.closes[0]], [code, code], "close codes at the client and at the service");
    }
    const lost = await open();
    for (const socket of graphql.sockets.clients) {
        socket.terminate();
    }
    const [code] = await once(lost, "close");
    check(code, 1011, "close code when the service is lost");
}

// --- socket.io

async function socketClient(user, options = {}) {
    const { gateway } = await services();
    const client = io(`http://${gateway.address}`, {
        extraHeaders: { cookie: `a=b; user=${user}` }, forceNew: true, reconnection: false, ...options,
    });
    client.upgraded = new Promise((resolve) => client.io.engine.once("upgrade", resolve));
    await within(new Promise((resolve, reject) => {
        client.once("connect", resolve);
        client.once("connect_error", reject);
    }), "connect");
    return client;
}

async function socketUpgrades() {
    const chosen = {};
    const clients = [];
    for (let i = 0; i < 16; i++) {
        const user = `user${i % 8}`;
        const client = await socketClient(user);
        await within(client.upgraded, "the upgrade");
        check(client.io.engine.transport.name, "websocket", "transport");
        const [, server] = await within(new Promise((resolve) => client.emit("say", "x", (...all) => resolve(all))), "ack");
        chosen[user] ??= server;
        check(chosen[user], server, `the server of ${user}`);
        clients.push(client);
    }
    check(new Set(Object.values(chosen)).size, 2, "servers that were chosen");
    clients.forEach((client) => client.disconnect());
}

async function socketMessages(count) {
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
        const client = await socketClient("messages", { transports });
        const told = [];
        client.on("told", (bytes) => told.push(bytes));
        const all = sizes(count);
        client.emit("ask", all);
        const acks = all.map((size, i) => new Promise((resolve) => {
            const what = i % 2 ? textOf(size, i) : Buffer.from(globalThis.interopPayload.bytes(size, i));
            client.emit("say", what, (back) => resolve(i % 2 ? back === what : what.equals(Buffer.from(back))));
        }));
        check((await within(Promise.all(acks), "acks")).every(Boolean), true, `${transports}: acknowledged as sent`);
        await until(() => told.length === count, "what the service emits");
        const same = (bytes, i) => Buffer.from(bytes).equals(Buffer.from(globalThis.interopPayload.bytes(all[i], i)));
        check(told.every(same), true, `${transports}: told in order`);
        client.disconnect();
    }
}

async function socketEnds() {
    const { one, two } = await services();
    for (const transports of [["polling"], ["websocket"]]) {
        const ours = await socketClient("ends", { transports });
        const { id } = ours;
        ours.disconnect();
        const reason = () => one.ends.get(id) ?? two.ends.get(id);
        await until(reason, "the service sees the end");
        check(reason(), "client namespace disconnect", "reason at the service");
        const theirs = await socketClient("ends", { transports });
        theirs.emit("leave");
        const [told] = await within(once(theirs, "disconnect"), "the service's end");
        check(told, "io server disconnect", "reason at the client");
    }
}

// --- WAMP

async function wampSession() {
    const { gateway } = await services();
    const connection = new autobahn.Connection({
        url: gateway.url("/wamp"), realm: "test", protocols: ["wamp.2.json"], max_retries: 0,
    });
    const session = await within(new Promise((resolve, reject) => {
        connection.onopen = resolve;
        connection.onclose = (reason, details) => reject(new Error(`${reason} ${JSON.stringify(details)}`));
        connection.open();
    }), "the session");
    const closed = new Promise((resolve) => {
        connection.onclose = (reason) => (resolve(reason), true); // no further try
    });
    return { connection, session, closed };
}

async function wampMessages(count) {
    const [one, two] = [await wampSession(), await wampSession()];
    const heard = [];
    await within(one.session.subscribe("test.events", ([text]) => heard.push(text)), "subscribed");
    await within(one.session.register("test.echo", ([text]) => text), "registered");
    const texts = sizes(count).map((size, i) => textOf(size, i));
    for (const text of texts) {
        two.session.publish("test.events", [text]);
    }
    await until(() => heard.length >= count, "events");
    texts.forEach((text, i) => check(heard[i] === text, true, `event ${i}`));
    const calls = texts.map((text) => two.session.call("test.echo", [text]).then((back) => back === text));
    check((await within(Promise.all(calls), "calls")).every(Boolean), true, "results as called");
    one.connection.close();
    two.connection.close();
    await within(Promise.all([one.closed, two.closed]), "both are closed");
}

async function wampEnds() {
    const { gateway } = await services();
    const refused = new autobahn.Connection({
        url: gateway.url("/wamp"), realm: "elsewhere", protocols: ["wamp.2.json"], max_retries: 0,
    });
    const ended = new Promise((resolve) => {
        refused.onopen = () => resolve("opened");
        refused.onclose = (why) => (resolve(why), true);
    });
    refused.open();
    const end = await within(ended, "the router refuses"); // which of the two depends on what autobahn hears first
    check(["closed", "lost"].includes(end), true, `the end of a session in a realm that is not there, ${end},`);
    const { connection, closed } = await wampSession();
    connection.close("wamp.close.normal");
    // The router hangs up without a Close, also without a gateway, and autobahn calls that lost.
    check(await within(closed, "the end"), "lost", "reason at the client");
}

// Brokers of Debian's behind `tunnel` routes, with their own clients in front. Only in `all`: tools/deps services
// installs them.
import { Client as StompClient } from "@stomp/stompjs";
import { once } from "node:events";
import mqtt from "mqtt";
import { connect as connectNats, headers as natsHeaders } from "nats.ws";
import WebSocket from "ws";
import { Gateway } from "./gateway.mjs";
import { check, row } from "./suite.mjs";
import { sizes, textOf, until, within } from "./rows_tunnels.mjs";
import { mosquittoService, natsService, rabbitService } from "./services.mjs";

const COUNT = 300;
const same = (bytes, size, seed) => Buffer.from(bytes).equals(Buffer.from(globalThis.interopPayload.bytes(size, seed)));

// One gateway and one broker for each row: rows end brokers.
async function broker(start, route, work) {
    const service = await start();
    const text = `
listeners:
  - {address: "127.0.0.1:{port}"}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {message: 4MiB}
upstreams:
  broker: {servers: ["http://127.0.0.1:${service.port}"], failures: 1000}
routes:
  - {path: /ws, tunnel: {upstream: broker}${route}}
`;
    try {
        await Gateway.with(text, (gateway) => work(gateway.url("/ws"), service));
    } finally {
        await service.close();
    }
}

export function addDaemons() {
    const all = { tier: "all", lane: "all" };
    const withMqtt = (work) => () => broker(mosquittoService, ", subprotocols: [mqtt]", work);
    row("mosquitto: 490 messages each way at QoS 0, 1 and 2", withMqtt(mqttMessages), all);
    row("mosquitto: a will is told when its client is cut", withMqtt(mqttWill), all);
    row("mosquitto: its subprotocol, and it ends from both sides", withMqtt(mqttEnds), all);
    const withNats = (work) => () => broker(natsService, "", work);
    row("nats-server: 300 messages each way, requests and headers", withNats(natsMessages), all);
    row("nats-server: it ends from both sides", withNats(natsEnds), all);
    row("rabbitmq: 300 messages each way by web_stomp, its subprotocol, and both ends",
        () => broker(rabbitService, ", subprotocols: [v12.stomp, v11.stomp]", rabbitMessages), all);
}

// --- MQTT

async function mqttClient(url, options = {}) {
    const client = mqtt.connect(url, { reconnectPeriod: 0, protocolVersion: 5, connectTimeout: 10000, ...options });
    await within(new Promise((resolve, reject) => {
        client.once("connect", resolve);
        client.once("error", reject);
    }), "MQTT's CONNACK");
    return client;
}

// Fewer where each takes several steps: mosquitto looks at its WebSockets ten times a second.
async function mqttMessages(url) {
    for (const [protocolVersion, qos, count] of [[4, 0, COUNT], [5, 0, 100], [4, 1, 60], [5, 2, 30]]) {
        const [one, two] = [await mqttClient(url, { protocolVersion }), await mqttClient(url, { protocolVersion })];
        const heard = { a: [], b: [] };
        const hear = (name) => (topic, bytes) => heard[name].push(bytes);
        one.on("message", hear("a"));
        two.on("message", hear("b"));
        await one.subscribeAsync(`to/one/${qos}`, { qos });
        await two.subscribeAsync(`to/two/${qos}`, { qos });
        const all = sizes(count);
        const least = (number) => () => heard.a.length >= number && heard.b.length >= number;
        for (const [i, size] of all.entries()) { // few at a time: it drops what its queues do not hold
            const bytes = Buffer.from(globalThis.interopPayload.bytes(size, i));
            one.publish(`to/two/${qos}`, bytes, { qos });
            two.publish(`to/one/${qos}`, bytes, { qos });
            await until(least(i % 16 === 15 ? i - 8 : 0), `message ${i} of QoS ${qos}`, 60000);
        }
        await until(least(count), `all of QoS ${qos}`, 60000);
        for (const name of ["a", "b"]) {
            check(all.every((size, i) => same(heard[name][i], size, i)), true, `messages of ${name} at QoS ${qos}`);
        }
        await Promise.all([one.endAsync(), two.endAsync()]);
    }
}

async function mqttWill(url) {
    const will = { topic: "wills", payload: Buffer.from("gone"), qos: 1 };
    const [one, two] = [await mqttClient(url, { will }), await mqttClient(url)];
    await two.subscribeAsync("wills", { qos: 1 });
    const told = once(two, "message");
    one.stream.destroy();
    const [, bytes] = await within(told, "the will");
    check(bytes.toString(), "gone", "the will");
    await two.endAsync();
}

async function mqttEnds(url, service) {
    const plain = new WebSocket(url, ["other", "mqtt"]);
    await once(plain, "open");
    check(plain.protocol, "mqtt", "subprotocol");
    plain.terminate();
    const ours = await mqttClient(url);
    const ended = once(ours, "close");
    await ours.endAsync();
    await within(ended, "the client's own end");
    const theirs = await mqttClient(url);
    const lost = once(theirs, "close");
    await service.close();
    await within(lost, "the end when the broker is killed");
    const refused = new WebSocket(url, ["other", "mqtt"]);
    const [, answer] = await within(once(refused, "unexpected-response"), "a refusal");
    check(answer.statusCode, 502, "status when the broker is gone");
    refused.on("error", () => {}).terminate();
}

// --- NATS

function natsClient(url) {
    globalThis.WebSocket ??= WebSocket; // before Node.js 22 there is none
    return within(connectNats({ servers: url, reconnect: false, timeout: 10000 }), "NATS's INFO and PONG");
}

async function natsMessages(url) {
    const [one, two] = [await natsClient(url), await natsClient(url)];
    const all = sizes(COUNT);
    const echo = two.subscribe("echo", { callback: (_, message) => message.respond(message.data, { headers: message.headers }) });
    const heard = [];
    const events = two.subscribe("events", { callback: (_, message) => heard.push(message.data) });
    await two.flush();
    const answers = all.map(async (size, i) => {
        const headers = natsHeaders();
        headers.set("Number", `${i}`);
        const bytes = new Uint8Array(globalThis.interopPayload.bytes(size, i));
        const back = await one.request("echo", bytes, { timeout: 20000, headers });
        return same(back.data, size, i) && back.headers.get("Number") === `${i}`;
    });
    check((await within(Promise.all(answers), "answers")).every(Boolean), true, "answers as asked");
    all.forEach((size, i) => one.publish("events", new Uint8Array(globalThis.interopPayload.bytes(size, i))));
    await until(() => heard.length >= COUNT, "events");
    check(all.every((size, i) => same(heard[i], size, i)), true, "events in order");
    echo.unsubscribe();
    events.unsubscribe();
    await Promise.all([one.drain(), two.drain()]);
}

async function natsEnds(url, service) {
    const ours = await natsClient(url);
    await ours.close();
    const theirs = await natsClient(url);
    const closed = theirs.closed();
    await service.close();
    await within(closed, "the end when the broker is killed");
    const refused = new WebSocket(url);
    const [, answer] = await within(once(refused, "unexpected-response"), "a refusal");
    check(answer.statusCode, 502, "status when the broker is gone");
    refused.on("error", () => {}).terminate();
}

// --- STOMP

async function stompClient(url, protocols) {
    let socket;
    const client = new StompClient({
        reconnectDelay: 0, connectHeaders: { login: "guest", passcode: "guest" }, heartbeatIncoming: 1000, heartbeatOutgoing: 1000,
        webSocketFactory: () => (socket = new WebSocket(url, protocols)),
    });
    await within(new Promise((resolve, reject) => {
        client.onConnect = resolve;
        client.onStompError = (frame) => reject(new Error(frame.headers.message));
        client.onWebSocketError = (event) => reject(new Error(event.message));
        client.activate();
    }), "STOMP's CONNECTED");
    return { client, protocol: socket.protocol };
}

async function rabbitMessages(url, service) {
    const one = await stompClient(url, ["v13.stomp", "v12.stomp"]), two = await stompClient(url, ["v11.stomp"]);
    check([one.protocol, two.protocol], ["v12.stomp", "v11.stomp"], "subprotocols");
    const heard = { one: [], two: [] };
    await within(Promise.all([["one", one.client], ["two", two.client]].map(([name, client]) => new Promise((resolve) => {
        client.watchForReceipt(name, resolve);
        client.subscribe(`/topic/to.${name}`, (message) => heard[name].push(message.body), { receipt: name });
    }))), "receipts");
    const texts = sizes(COUNT).map((size, i) => textOf(size, i));
    for (const body of texts) {
        one.client.publish({ destination: "/topic/to.two", body });
        two.client.publish({ destination: "/topic/to.one", body });
    }
    await until(() => heard.one.length >= COUNT && heard.two.length >= COUNT, "messages", 60000);
    for (const name of ["one", "two"]) {
        check(texts.every((text, i) => text === heard[name][i]), true, `messages of ${name}`);
    }
    await within(one.client.deactivate(), "the client's own end");
    const lost = new Promise((resolve) => (two.client.onWebSocketClose = resolve));
    await service.close();
    await within(lost, "the end when the broker is killed");
    await two.client.deactivate();
}

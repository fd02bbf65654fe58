// Services that nobody here wrote, each with a WebSocket server of its own, on free ports of 127.0.0.1: those of npm live
// in this process, Debian's are processes that end with it.
import { spawn } from "node:child_process";
import { EventEmitter, on, once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { buildSchema, graphql } from "graphql";
import { useServer } from "graphql-ws/lib/use/ws";
import { Server as SocketServer } from "socket.io";
import { WebSocketServer } from "ws";
import { freePort } from "./gateway.mjs";

const WampServer = createRequire(import.meta.url)("wamp-server");

async function listen(server) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return server.address().port;
}

async function bodyOf(request) {
    const pieces = [];
    for await (const piece of request) {
        pieces.push(piece);
    }
    return Buffer.concat(pieces).toString();
}

// `echo` answers, `say` tells everybody who `heard` that room. `closes` are the codes that its sockets ended with.
export async function graphqlService() {
    const schema = buildSchema(`
        type Query { echo(text: String!): String! }
        type Mutation { say(room: String!, text: String!): Boolean! }
        type Subscription { heard(room: String!): String! }
    `);
    const rooms = new EventEmitter().setMaxListeners(0);
    const root = {
        echo: ({ text }) => text,
        say: ({ room, text }) => rooms.emit(room, text),
        heard: async function* ({ room }) {
            for await (const [text] of on(rooms, room)) {
                yield { heard: text };
            }
        },
    };
    const closes = [];
    const web = http.createServer(async (request, response) => {
        const { query, variables } = JSON.parse(await bodyOf(request));
        const result = await graphql({ schema, source: query, rootValue: root, variableValues: variables });
        const text = JSON.stringify(result);
        response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
        response.end(text);
    });
    const sockets = new WebSocketServer({ server: web, path: "/graphql" });
    sockets.on("connection", (socket) => socket.on("close", (code) => closes.push(code)));
    useServer({ schema, roots: { query: root, mutation: root, subscription: root } }, sockets);
    const close = () => (sockets.clients.forEach((one) => one.terminate()), web.close(), web.closeAllConnections());
    return { port: await listen(web), closes, sockets, close };
}

// `say` is acknowledged with what was said and with who heard it; `ask` makes the service emit `count` messages.
export async function socketService(name) {
    const web = http.createServer();
    const io = new SocketServer(web, { maxHttpBufferSize: 2e6 });
    const ends = new Map(); // why, by a socket's id
    io.on("connection", (socket) => {
        socket.on("say", (what, answer) => answer(what, name));
        socket.on("ask", (sizes) => sizes.forEach((size, i) => socket.emit("told", globalThis.interopPayload.bytes(size, i))));
        socket.on("leave", () => socket.disconnect(true));
        socket.on("disconnect", (reason) => ends.set(socket.id, reason));
    });
    return { port: await listen(web), name, io, ends, close: () => io.close() };
}

export async function wampService() {
    const port = await freePort();
    const server = new WampServer({ port, host: "127.0.0.1", realms: ["test"] });
    return { port, close: () => server.close() };
}

const running = new Set();
process.on("exit", () => running.forEach((stop) => stop()));

// A process of Debian's, in a folder of its own; it serves when `port` accepts.
async function daemon(command, files, port, environment = {}) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-service-"));
    for (const [name, text] of Object.entries(files)) {
        fs.writeFileSync(path.join(folder, name), text.replaceAll("{folder}", folder));
    }
    const log = fs.openSync(path.join(folder, "log"), "a");
    const words = command.map((word) => word.replaceAll("{folder}", folder));
    const env = { ...process.env };
    for (const [name, value] of Object.entries(environment)) {
        env[name] = value.replaceAll("{folder}", folder);
    }
    const child = spawn(words[0], words.slice(1), { cwd: folder, stdio: ["ignore", log, log], env, detached: true });
    fs.closeSync(log);
    const stop = () => {
        try {
            process.kill(-child.pid, "SIGKILL"); // the group: some start others
        } catch {
            return; // it has ended
        }
    };
    running.add(stop);
    child.on("error", () => {});
    const until = performance.now() + 180000;
    while (!(await accepts(port))) {
        if (performance.now() > until || child.exitCode !== null || child.pid === undefined) {
            const text = fs.readFileSync(path.join(folder, "log"), "utf8").slice(-2000);
            stop();
            throw new Error(`${words[0]} does not serve (tools/deps services installs it):\n${text}`);
        }
        await sleep(50);
    }
    return { port, close: async () => (stop(), running.delete(stop), await sleep(100), fs.rmSync(folder, { recursive: true, force: true })) };
}

function accepts(port) {
    return new Promise((resolve) => {
        const probe = net.connect(port, "127.0.0.1");
        probe.on("connect", () => (probe.destroy(), resolve(true)));
        probe.on("error", () => resolve(false));
    });
}

// Its WebSocket listener binds every address, whatever it is told, and does not work without a plain one beside it: `run`
// keeps `all` in a network namespace.
export async function mosquittoService() {
    const [port, plain] = [await freePort(), await freePort()];
    const text = `listener ${plain} 127.0.0.1\nlistener ${port}\nprotocol websockets\nallow_anonymous true\nuser root\n`;
    return daemon(["/usr/sbin/mosquitto", "-c", "{folder}/main.conf"], { "main.conf": text }, port);
}

export async function natsService() {
    const [port, plain] = [await freePort(), await freePort()];
    const text = `listen: "127.0.0.1:${plain}"\nwebsocket { listen: "127.0.0.1:${port}", no_tls: true }\n`;
    return daemon(["nats-server", "-c", "{folder}/main.conf"], { "main.conf": text }, port);
}

export async function rabbitService() {
    const [port, plain, between, names] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const files = {
        "rabbitmq.conf": `listeners.tcp.1 = 127.0.0.1:${plain}\nweb_stomp.tcp.port = ${port}\n` +
            "web_stomp.tcp.ip = 127.0.0.1\nstomp.listeners.tcp = none\n",
        enabled_plugins: "[rabbitmq_web_stomp].\n",
    };
    const environment = {
        HOME: "{folder}", RABBITMQ_NODENAME: "holdfast@localhost", RABBITMQ_CONFIG_FILE: "{folder}/rabbitmq.conf",
        RABBITMQ_MNESIA_BASE: "{folder}/data", RABBITMQ_LOG_BASE: "{folder}/logs", RABBITMQ_DIST_PORT: `${between}`,
        RABBITMQ_ENABLED_PLUGINS_FILE: "{folder}/enabled_plugins", RABBITMQ_PID_FILE: "{folder}/pid",
        ERL_EPMD_ADDRESS: "127.0.0.1", ERL_EPMD_PORT: `${names}`, RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 1:1",
    };
    // Erlang's own would start a port mapper that outlives it: this one is of the group that is ended.
    return daemon(["/bin/bash", "-c", "epmd & exec /usr/lib/rabbitmq/bin/rabbitmq-server"], files, port, environment);
}

const NGINX = `
daemon off;
pid {folder}/pid;
error_log {folder}/error.log error;
events { worker_connections 2000; }
http {
    access_log off;
    client_body_temp_path {folder}/1;
    proxy_temp_path {folder}/2;
    fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4;
    scgi_temp_path {folder}/5;
    client_max_body_size 100m;
    keepalive_requests 1000000;
    SERVER
}
`;

// nginx with one `server` block; `user root`, since the folder is ours alone.
export async function nginxService(port, server) {
    const text = `user ${os.userInfo().username};\n` + NGINX.replace("SERVER", server);
    return daemon(["/usr/sbin/nginx", "-c", "{folder}/main.conf", "-e", "{folder}/log"], { "main.conf": text }, port);
}

export async function haproxyService(port, text) {
    return daemon(["/usr/sbin/haproxy", "-db", "-f", "{folder}/main.cfg"], { "main.cfg": text }, port);
}

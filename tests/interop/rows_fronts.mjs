// nginx and HAProxy in front of the gateway, with PROXY headers and without, and clients of HTTP through a `proxy` route to
// nginx. Only in `all`: tools/deps services installs them.
import { execFile } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { promisify } from "node:util";
import WebSocket from "ws";
import { freePort, Gateway } from "./gateway.mjs";
import { check, row } from "./suite.mjs";
import { sizes, until } from "./rows_tunnels.mjs";
import { haproxyService, nginxService } from "./services.mjs";

const CLIENT = "127.0.0.9"; // clients come from here, proxies from 127.0.0.1, which alone is trusted
const run = promisify(execFile);

// `listener` is written into the listener's map; the service behind says who it was told the client is.
async function stack(listener, front, work) {
    const [behind, before] = [await freePort(), await freePort()];
    const service = await nginxService(behind, `
        server {
            listen 127.0.0.1:${behind};
            location /who { return 200 "$http_x_forwarded_for"; }
            location /small { return 200 "${"s".repeat(100)}"; }
            location /length { return 200 "$content_length"; }
            location /upload { proxy_pass http://127.0.0.1:${behind}/length; } # reads it all before
        }`);
    const text = `
listeners:
  - {address: "127.0.0.1:${listener.includes("tls:") ? "{secure}" : "{port}"}", ${listener}}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {message: 4MiB}
trusted: [127.0.0.1/32]
upstreams:
  web: {servers: ["http://127.0.0.1:${behind}"]}
routes:
  - {path: /echo, echo: {}}
  - {path: "/*", proxy: {upstream: web}}
`;
    try {
        await Gateway.with(text, async (gateway) => {
            const proxy = front && (await front(before, gateway.secure ?? gateway.port));
            try {
                await work(before, gateway);
            } finally {
                await proxy?.close();
            }
        });
    } finally {
        await service.close();
    }
}

export function addFronts() {
    const fronts = { tier: "all", lane: "all" };
    const plain = "", headers = "proxy_protocol: {trusted: [127.0.0.1/32]}";
    const secure = `${headers}, tls: {certificate: chain.pem, key: key.pem}`;
    for (const [name, listener, front, who, isSecure] of [
        ["nginx in front", plain, nginxFront, `${CLIENT}, 127.0.0.1`],
        ["HAProxy in front, HTTP", plain, haproxyHttp, `${CLIENT}, 127.0.0.1`],
        ["HAProxy in front, PROXY v1", headers, haproxyTcp("send-proxy"), CLIENT],
        ["HAProxy in front, PROXY v2", headers, haproxyTcp("send-proxy-v2"), CLIENT],
        ["HAProxy in front, PROXY v2 with a checksum and an id", headers,
            haproxyTcp("send-proxy-v2 proxy-v2-options crc32c,unique-id"), CLIENT],
        ["HAProxy in front, PROXY v2, TLS behind it", secure, haproxyTcp("send-proxy-v2"), CLIENT, true],
    ]) {
        const work = (port) => throughFront(port, who, isSecure);
        row(`${name}: WebSocket, requests and who the client is`, () => stack(listener, front, work), fronts);
    }
    row("a PROXY header from an address that is not trusted ends the connection", () => stack(headers, null, untrusted), fronts);
    row("curl through proxy to nginx: answers, uploads of 16 MiB", () => stack(plain, null, curl), fronts);
    row("ab through proxy to nginx: 5,000 requests, kept alive and not", () => stack(plain, null, ab), fronts);
    row("wrk through proxy to nginx: every answer is whole", () => stack(plain, null, wrk), fronts);
}

// --- in front

function nginxFront(port, target) {
    return nginxService(port, `
        server {
            listen 127.0.0.1:${port};
            location / {
                proxy_pass http://127.0.0.1:${target};
                proxy_http_version 1.1;
                proxy_set_header Host $host;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $http_connection;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            }
        }`);
}

const haproxyText = (port, target, mode, more, words) => `
defaults
    mode ${mode}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen front
    bind 127.0.0.1:${port}
    ${more}
    server one 127.0.0.1:${target} ${words}
`;

function haproxyHttp(port, target) {
    return haproxyService(port, haproxyText(port, target, "http", "option forwardfor\n    timeout tunnel 60s", ""));
}

function haproxyTcp(words) {
    return (port, target) =>
        haproxyService(port, haproxyText(port, target, "tcp", "unique-id-format %{+X}o%ci-%cp-%Ts-%pid", words));
}

function get(port, path, isSecure) {
    const options = { host: "127.0.0.1", port, path, localAddress: CLIENT, agent: false };
    return new Promise((resolve, reject) => {
        (isSecure ? https : http).get(options, async (response) => {
            let text = "";
            for await (const piece of response) {
                text += piece;
            }
            resolve({ status: response.statusCode, text });
        }).on("error", reject);
    });
}

async function throughFront(port, who, isSecure) {
    check(await get(port, "/who", isSecure), { status: 200, text: who }, "who the service was told the client is");
    const socket = new WebSocket(`${isSecure ? "wss" : "ws"}://127.0.0.1:${port}/echo`, { localAddress: CLIENT });
    const heard = [];
    socket.on("message", (data) => heard.push(data));
    await once(socket, "open");
    const all = sizes(300);
    all.forEach((size, i) => socket.send(globalThis.interopPayload.bytes(size, i)));
    await until(() => heard.length === all.length, "the echoes", 30000);
    const isSame = (size, i) => heard[i].equals(Buffer.from(globalThis.interopPayload.bytes(size, i)));
    check(all.every(isSame), true, "echoes as sent");
    socket.close(3000, "bye");
    const [code] = await once(socket, "close");
    check(code, 3000, "close code");
}

async function untrusted(unused, gateway) {
    const options = { host: "127.0.0.1", port: gateway.port, path: "/who", localAddress: CLIENT, agent: false };
    const error = await new Promise((resolve) => {
        http.get(options, () => resolve("an answer")).on("error", (problem) => resolve(problem.code));
    });
    check(error, "ECONNRESET", "a request without a PROXY header, from elsewhere");
}

// --- through to nginx

async function curl(unused, gateway) {
    const url = (path) => `http://${gateway.address}${path}`;
    const small = await run("curl", ["-sS", "--max-time", "20", url("/small"), url("/small"), url("/small")]);
    check(small.stdout, "s".repeat(300), "three answers on one connection");
    const body = globalThis.interopPayload.bytes(16 << 20, 5);
    const upload = execFile("curl", ["-sS", "--max-time", "60", "--data-binary", "@-", "-H", "Content-Type: a/b", "-w", " %{http_code} %{size_upload}",
        url("/upload")]);
    upload.stdin.end(body);
    let text = "";
    for await (const piece of upload.stdout) {
        text += piece;
    }
    check(text, `${16 << 20} 200 ${16 << 20}`, "what arrived of an upload, its status, what was sent");
    const head = await run("curl", ["-sSI", "--max-time", "20", url("/small")]);
    check([/^HTTP\/1.1 200 /.test(head.stdout), /content-length: 100\r/i.test(head.stdout)], [true, true], "HEAD");
}

async function ab(unused, gateway) {
    for (const words of [["-k"], []]) {
        const { stdout } = await run("ab", ["-q", "-n", "5000", "-c", "20", ...words, `http://${gateway.address}/small`]);
        const number = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(stdout)?.[1] ?? 0);
        const found = ["Complete requests", "Failed requests", "Non-2xx responses", "HTML transferred"].map(number);
        check(found, [5000, 0, 0, 500000], `ab ${words}: complete, failed, not 2xx, bytes`);
    }
}

async function wrk(unused, gateway) {
    const { stdout } = await run("wrk", ["-t1", "-c30", "-d3", `http://${gateway.address}/small`]);
    const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
    check([requests > 1000, /Socket errors|Non-2xx/.test(stdout)], [true, false], stdout);
}

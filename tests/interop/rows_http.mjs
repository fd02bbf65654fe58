// HTTP clients on a channels route: kept-alive and pipelined POSTs, a body that asks first, bodies of unknown length.
import { spawn } from "node:child_process";
import { Readable } from "node:stream";
import { Client, fetch, request } from "undici";
import { check, row } from "./suite.mjs";

export function addHttp(world) {
    row("undici: 60 POSTs pipelined eight deep come in their order", () => pipelined(world, 8));
    row("undici: 60 POSTs on one kept-alive connection come in their order", () => pipelined(world, 1));
    row("undici: a chunked body is a message", () => chunked(world));
    row("undici: fetch gets the page, and refusals it understands", () => fetches(world));
    row("curl: POSTs that expect 100-continue, of 100 B to 16 MiB", () => curl(world));
}

// The channel's reader, and the address to POST to.
async function reader({ gateway, clients, room }) {
    const path = `/chat/${room()}`;
    const { number } = await clients.ws.call("open", gateway.url(path));
    return { number, call: clients.ws.call, path, url: `http://${gateway.address}${path}` };
}

async function pipelined(world, depth) {
    const { number, call, path } = await reader(world);
    const client = new Client(`http://${world.gateway.address}`, { pipelining: depth });
    const answers = await Promise.all(Array.from({ length: 60 }, async (_, i) => {
        // undici pipelines only what may be repeated; a POST may not, unless it is told so.
        const answer = await client.request({ method: "POST", path, body: `${i}`, idempotent: true, blocking: false });
        await answer.body.dump();
        return answer.statusCode;
    }));
    check(answers.every((status) => status >= 200 && status < 300), true, `answers ${new Set(answers)}: each is fine`);
    for (let i = 0; i < 60; i++) {
        check(await call("hear", number), `${i}`, "message");
    }
    await client.close();
    await call("close", number, 1000, "");
}

async function chunked(world) {
    const { number, call, url } = await reader(world);
    const whole = Buffer.from(globalThis.interopPayload.utf8(300000, 9));
    const pieces = Array.from({ length: 100 }, (_, i) => whole.subarray(i * 3000, (i + 1) * 3000));
    const answer = await request(url, { method: "POST", body: Readable.from(pieces) });
    await answer.body.dump();
    check(Math.floor(answer.statusCode / 100), 2, `status (${answer.statusCode})`);
    await call("expect", number, "text", 300000, 9);
    await call("close", number, 1000, "");
}

async function fetches({ gateway }) {
    const get = (path, how) => fetch(`http://${gateway.address}${path}`, how);
    const page = await get("/");
    check([page.status, (await page.text()).includes("<title>Holdfast chat</title>")], [200, true], "page");
    const head = await get("/", { method: "HEAD" });
    check([head.status, await head.text()], [200, ""], "HEAD of the page");
    for (const [path, how, status] of [["/nowhere", {}, 404], ["/echo", {}, 426], ["/", { method: "DELETE" }, 405],
        ["/a//b", {}, 400]]) {
        const answer = await get(path, how);
        check(answer.status, status, `status of ${path}`);
        await answer.text();
    }
}

async function curl(world) {
    const { number, call, url } = await reader(world);
    for (const size of [100, 100000, 16 << 20]) {
        const child = spawn("curl", ["-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-",
            "-H", "Content-Type: application/octet-stream", "-H", "Expect: 100-continue", url]);
        const output = [];
        child.stdout.on("data", (piece) => output.push(piece));
        child.stderr.on("data", (piece) => output.push(piece));
        child.stdin.on("error", () => {}); // a refusal comes before the body went out
        child.stdin.end(globalThis.interopPayload.bytes(size, 3));
        await new Promise((resolve) => child.on("close", resolve));
        const text = Buffer.concat(output).toString();
        check(/^20[0-9]$/.test(text), true, `answer to a POST of ${size} B, "${text}", is fine`);
        await call("expect", number, "binary", size, 3);
    }
    await call("close", number, 1000, "");
}

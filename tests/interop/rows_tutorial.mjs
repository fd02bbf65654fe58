// README's tutorial, as it is written: its files, its commands, and what it says comes of them. Only in `all`, which runs in
// a network namespace, where the tutorial's ports are free.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import WebSocket from "ws";
import { BINARY } from "./gateway.mjs";
import { check, row } from "./suite.mjs";
import { until, within } from "./rows_tunnels.mjs";

const run = promisify(execFile);
const README = fileURLToPath(new URL("../../README.md", import.meta.url));
const PACKAGES = fileURLToPath(new URL("node_modules", import.meta.url));
const INSTALL = "npm init -y && npm install express@4 ws@8\n"; // they lie here already
const ORIGIN = "https://localhost:8443";

export function addTutorial() {
    row("tutorial: an Express site behind TLS, tokens and limits, as README says", tutorial, { tier: "all", lane: "all" });
}

// The fenced blocks of that section: files by the name in their first line, and the rest in order.
function blocks() {
    const section = fs.readFileSync(README, "utf8").split("\n## A site of your own behind it\n")[1].split("\n## ")[0];
    const found = [...section.matchAll(/\n```(\w+)\n(.*?)```/gs)].map(([, kind, text]) => ({ kind, text }));
    const files = {}, commands = [];
    for (const { kind, text } of found) {
        const name = /^(?:\/\/|#) (\S+\.\w+)\n/.exec(text)?.[1];
        if (name) {
            files[name] = text;
        } else if (kind === "sh") {
            commands.push(text);
        }
    }
    return { files, commands };
}

async function tutorial() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-tutorial-"));
    const { files, commands: [prepare, start, ask] } = blocks();
    check(prepare.startsWith(INSTALL), true, "the first command installs");
    fs.symlinkSync(PACKAGES, path.join(folder, "node_modules"));
    Object.entries(files).forEach(([name, text]) => fs.writeFileSync(path.join(folder, name), text));
    const env = { ...process.env, PATH: `${path.dirname(BINARY)}:${process.env.PATH}` };
    const shell = (text) => run("bash", ["-euo", "pipefail", "-c", text], { cwd: folder, env });
    await shell(prepare.replace(INSTALL, ""));
    const log = fs.openSync(path.join(folder, "log"), "a");
    const both = spawn("bash", ["-euc", `${start}wait`], { cwd: folder, env, detached: true, stdio: ["ignore", log, log] });
    try {
        await until(() => /listening/.test(fs.readFileSync(path.join(folder, "log"), "utf8")), "the gateway listens");
        await answers(shell, ask);
        await sockets(folder);
    } catch (error) {
        error.stack += `\n${fs.readFileSync(path.join(folder, "log"), "utf8")}`;
        throw error;
    } finally {
        process.kill(-both.pid, "SIGKILL");
        fs.rmSync(folder, { recursive: true, force: true });
    }
}

// Each command by itself, and what its comment says.
async function answers(shell, text) {
    const wanted = [/<form /, /^/, /^in$/m, /^\{"name":"ada","address":"127.0.0.1"\}$/];
    const lines = text.trim().split("\n");
    check(lines.length, wanted.length, "commands");
    for (let tries = 0; tries < 100; tries++) { // the site may be slower to start than the gateway
        const { stdout } = await shell(lines[0]);
        if (wanted[0].test(stdout)) {
            break;
        }
        check(tries < 99, true, "the site answers");
    }
    for (const [i, line] of lines.entries()) {
        const { stdout } = await shell(line);
        check([line, wanted[i].test(stdout)], [line, true], `its answer, ${stdout}`);
    }
    const { stdout } = await shell(lines[1].replace("-sS", "-sS -o /dev/null -w '%{http_code}'"));
    check(stdout, "401", "status without a token");
}

// The status that a handshake is refused with, or the open socket.
async function open(cookie, origin = ORIGIN) {
    const headers = cookie ? { cookie: `token=${cookie}` } : {};
    const socket = new WebSocket("wss://localhost:8443/live", { headers, origin, family: 4 });
    socket.on("error", () => {});
    const refused = once(socket, "unexpected-response").then(([, response]) => response.statusCode, () => 0);
    return within(Promise.race([once(socket, "open").then(() => socket), refused]), "an answer to a handshake");
}

async function sockets(folder) {
    const cookie = fs.readFileSync(path.join(folder, "jar"), "utf8").trim().split(/\s/).at(-1);
    check([await open(), await open(cookie, "https://evil.example")], [401, 403], "without a token, from another page");
    const [one, two] = [await open(cookie), await open(cookie)];
    const heard = once(two, "message");
    one.send("hello");
    check(`${(await within(heard, "a message"))[0]}`, "ada: hello", "what the other tab hears");
    one.send("x".repeat(4097));
    check((await within(once(one, "close"), "the end"))[0], 1009, "close code of a long message");
    for (let i = 0; i < 25; i++) {
        two.send("again");
    }
    check((await within(once(two, "close"), "the end"))[0], 1008, "close code of many messages");
    const tabs = [];
    for (let i = 0; i < 10; i++) {
        tabs.push(await open(cookie));
    }
    check([tabs.every((tab) => tab instanceof WebSocket), await open(cookie)], [true, 429], "ten tabs, and one more");
    tabs.forEach((tab) => tab.terminate());
}

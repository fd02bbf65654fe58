// The clients, each as a function call(word, ...arguments); client.mjs says what the words are.
import { spawn } from "node:child_process";
import fs from "node:fs";
import readline from "node:readline";
import { fileURLToPath } from "node:url";
import Faye from "faye-websocket";
import fayeDeflate from "permessage-deflate";
import { WebSocket as UndiciWebSocket } from "undici";
import WebSocket from "ws";
import { launchChromium } from "./chromium.mjs";
import "./client.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const PATIENCE_MS = 40000;

function inProcess(words) {
    return { call: async (word, ...rest) => words[word](...rest), close: async () => {} };
}

export async function undiciClient() {
    return inProcess(globalThis.interopClient(UndiciWebSocket, PATIENCE_MS));
}

// Its extension is a package of its own, by the same author.
export async function fayeClient() {
    class Socket extends Faye.Client {
        constructor(url, protocols) {
            super(url, protocols ?? [], { extensions: [fayeDeflate] });
        }
        get extensions() {
            return this.headers["sec-websocket-extensions"] ?? "";
        }
        send(data) {
            return super.send(typeof data === "string" ? data : Buffer.from(data));
        }
    }
    return inProcess(globalThis.interopClient(Socket, PATIENCE_MS));
}

// ws can also cut a message into frames as it likes, ping, and send what the standard's interface does not let through.
export async function wsClient() {
    const words = globalThis.interopClient(WebSocket, PATIENCE_MS);
    const socketOf = (number) => words.connections.get(number).socket;
    const open = words.open;
    words.open = async (...rest) => {
        const opened = await open(...rest);
        socketOf(opened.number).setMaxListeners(0); // one waits for each pong
        return opened;
    };
    words.ping = (number, payload) =>
        new Promise((resolve) => {
            socketOf(number).once("pong", (data) => resolve(data.toString()));
            socketOf(number).ping(payload);
        });
    words.fragments = async (number, kind, size, seed, count) => {
        const { utf8, bytes } = globalThis.interopPayload;
        const socket = socketOf(number), whole = kind === "text" ? utf8(size, seed) : bytes(size, seed);
        const pongs = [];
        for (let i = 0; i < count; i++) {
            const piece = whole.subarray(Math.floor((size * i) / count), Math.floor((size * (i + 1)) / count));
            socket.send(piece, { binary: kind === "binary", fin: i === count - 1 });
            if (i < count - 1) {
                pongs.push(new Promise((resolve) => socket.once("pong", resolve)));
                socket.ping(`${i}`);
            }
        }
        await Promise.all(pongs);
    };
    words.sayInvalid = async (number) => socketOf(number).send(Buffer.from([0xff]), { binary: false });
    words.begin = async (number, size) => socketOf(number).send(new Uint8Array(size), { fin: false });
    words.vanish = async (number) => socketOf(number).terminate();
    words.pause = async (number) => socketOf(number).pause();
    words.resume = async (number) => socketOf(number).resume();
    return inProcess(words);
}

export async function chromiumClient(pageUrl) {
    const { browser, close } = await launchChromium();
    const page = await browser.newPage();
    await page.goto(pageUrl);
    await page.evaluate(fs.readFileSync(here("client.mjs"), "utf8"));
    await page.evaluate((patience) => {
        globalThis.words = globalThis.interopClient(WebSocket, patience);
    }, PATIENCE_MS);
    const call = (word, ...rest) => page.evaluate((name, list) => globalThis.words[name](...list), word, rest);
    return { call, close, page };
}

export const pythonClient = () => pythonProgram("python_client.py");
export const pythonPacker = (library) => pythonProgram("python_packers.py", library);

async function pythonProgram(name, ...rest) {
    const child = spawn("/usr/bin/python3", ["-B", here(name), ...rest, `${PATIENCE_MS}`], {
        stdio: ["pipe", "pipe", "inherit"],
    });
    const waiting = new Map();
    let count = 0;
    readline.createInterface({ input: child.stdout }).on("line", (line) => {
        const { number, result, error } = JSON.parse(line);
        const { resolve, reject } = waiting.get(number);
        waiting.delete(number);
        error === undefined ? resolve(result) : reject(new Error(error));
    });
    const gone = new Promise((resolve) => child.on("exit", resolve));
    gone.then((code) => waiting.forEach(({ reject }) => reject(new Error(`python ended with ${code}`))));
    const call = (word, ...rest) =>
        new Promise((resolve, reject) => {
            waiting.set(++count, { resolve, reject });
            child.stdin.write(`${JSON.stringify({ number: count, word, arguments: rest })}\n`);
        });
    const close = async () => {
        child.stdin.end();
        await gone;
    };
    return { call, close };
}

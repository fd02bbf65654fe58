// Starts the real binary with a configuration of its own on free ports, waits until it serves, and always ends it.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const BINARY = path.resolve(process.env.HOLDFAST ?? path.join(ROOT, "build/holdfast"));
const running = new Set();

process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => process.exit(1));
}

export async function freePort() {
    const probe = net.createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address();
    probe.close();
    await once(probe, "close");
    return port;
}

export class Gateway {
    // `{port}`, `{admin}` and `{secure}` in the configuration become ports: `ports` of an earlier gateway, or free
    // ones. With `{secure}` there is also a certificate in chain.pem and its key in key.pem.
    static async start(configuration, ports) {
        const gateway = new Gateway();
        gateway.port = ports?.port ?? (await freePort());
        gateway.admin = ports?.admin ?? (await freePort());
        gateway.folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-interop-"));
        gateway.address = `127.0.0.1:${gateway.port}`;
        const file = path.join(gateway.folder, "main.yaml");
        let text = configuration.replaceAll("{port}", gateway.port).replaceAll("{admin}", gateway.admin);
        if (text.includes("{secure}")) {
            gateway.secure = await freePort();
            text = text.replaceAll("{secure}", gateway.secure);
            gateway.certify();
        }
        fs.writeFileSync(file, text);
        await gateway.launch(file);
        return gateway;
    }

    // A gateway for one piece of work, ended whatever happens.
    static async with(configuration, work) {
        const gateway = await Gateway.start(configuration);
        let trouble = "";
        try {
            await work(gateway);
        } finally {
            trouble = await gateway.stop();
        }
        if (trouble) {
            throw new Error(`the gateway: ${trouble}`);
        }
    }

    async launch(file) {
        const log = fs.openSync(path.join(this.folder, "log"), "a");
        const sanitizer = `log_path=${path.join(this.folder, "sanitizer")}:exitcode=99`;
        const env = { ASAN_OPTIONS: sanitizer, UBSAN_OPTIONS: `print_stacktrace=1:${sanitizer}`, ...process.env };
        this.child = spawn(BINARY, ["run", "-c", file], { stdio: ["ignore", log, log], env });
        fs.closeSync(log);
        running.add(this.child);
        this.ended = new Promise((resolve) => {
            this.child.on("exit", (code, signal) => {
                running.delete(this.child);
                resolve(code ?? signal);
            });
            this.child.on("error", resolve); // there is no such file
        });
        const until = performance.now() + 20000;
        while (performance.now() < until) {
            if (this.child.exitCode !== null || this.child.pid === undefined) {
                throw new Error(`${BINARY} ended with ${await this.ended} at start:\n${this.log()}`);
            }
            const answer = await this.ask("GET", "/ready").catch(() => null);
            if (answer?.status === 200) {
                return;
            }
            await sleep(20);
        }
        throw new Error(`not ready after 20 s:\n${this.log()}`);
    }

    certify() {
        const [key, chain] = ["key.pem", "chain.pem"].map((name) => path.join(this.folder, name));
        const how = ["-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30"];
        const what = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
        execFileSync("openssl", ["req", ...how, ...what, "-keyout", key, "-out", chain], { stdio: "ignore" });
    }

    secureUrl(target) {
        return `wss://127.0.0.1:${this.secure}${target}`;
    }

    url(target) {
        return `ws://${this.address}${target}`;
    }

    // One request to the admin listener.
    ask(method, target, body) {
        return new Promise((resolve, reject) => {
            const headers = body === undefined ? {} : { "Content-Type": "application/json" };
            const options = { host: "127.0.0.1", port: this.admin, method, path: target, headers, agent: false };
            const request = http.request(options, (response) => {
                let text = "";
                response.on("data", (piece) => (text += piece));
                response.on("end", () => resolve({ status: response.statusCode, text }));
                response.on("error", reject);
            });
            request.setTimeout(10000, () => request.destroy(new Error("the admin listener is silent")));
            request.on("error", reject);
            request.end(body === undefined ? undefined : JSON.stringify(body));
        });
    }

    // The sum over all samples of this name in /metrics.
    async metric(name) {
        const { text } = await this.ask("GET", "/metrics");
        const samples = text.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
        return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
    }

    log() {
        return fs.readFileSync(path.join(this.folder, "log"), "utf8").split("\n").slice(-15).join("\n");
    }

    // SIGTERM, a second one if that does not do, then what it should not have done, as a text.
    async stop(hurryMs = 200) {
        const wait = (ms) => Promise.race([this.ended.then(() => true), sleep(ms, false, { ref: false })]);
        const early = this.child.exitCode !== null || this.child.signalCode !== null;
        this.child.kill("SIGTERM");
        if (!(await wait(hurryMs))) {
            this.child.kill("SIGTERM");
        }
        const late = !(await wait(15000));
        this.child.kill("SIGKILL");
        const status = await this.ended;
        let trouble = late ? `did not end\n${this.log()}` : "";
        if (status !== 0 && !late) {
            trouble = `ended with ${status}${early ? " in the middle" : ""}\n${this.log()}`;
        }
        for (const name of fs.readdirSync(this.folder).filter((one) => one.startsWith("sanitizer"))) {
            trouble += fs.readFileSync(path.join(this.folder, name), "utf8").slice(0, 4000);
        }
        fs.rmSync(this.folder, { recursive: true, force: true });
        return trouble;
    }
}

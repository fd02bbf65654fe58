// permessage-deflate with every client's own offer: many messages of mixed kinds and sizes, each way, none lost or altered.
import { setTimeout as sleep } from "node:timers/promises";
import { check, row } from "./suite.mjs";

const KINDS = ["text", "binary", "noise"];
const ON_THEIR_WAY = 50;
const COMPRESSES_NOTHING = new Set(["undici"]); // it inflates, and sends everything plain
const DECLINED = new Set(["tornado"]); // README: it keeps its window although it was told not to

// One after the other, so that the gateway's counters speak of one client.
export function addCompression(world) {
    for (const name of Object.keys(world.packers)) {
        for (const [count, tier] of [[100, "ci"], [1000, "all"]]) {
            row(`${name}: ${count} messages each way, compressed where it pays, none lost or altered`,
                () => mixed(world, name, count, "/echo"), { tier, lane: "all" });
            row(`${name}: ${count} messages each way, those to it in one window of its own`,
                () => mixed(world, name, count, "/own"), { tier, lane: "all" });
        }
    }
}

function planOf(count) {
    const size = (i) => (i % 100 === 99 ? 70000 + i : i < 4 ? [0, 1, 255, 256][i] : (i * i * 7) % 4500);
    return Array.from({ length: count }, (_, i) => [KINDS[i % 3], size(i), 1 + (i % 8)]);
}

// Counters, once they speak of all but `most` connections; and how many those are.
async function counted(gateway, most) {
    let connections = await gateway.metric("holdfast_connections");
    for (let i = 0; connections > most; i++) {
        check(i < 100, true, "it has gone after 2 s");
        await sleep(20);
        connections = await gateway.metric("holdfast_connections");
    }
    const names = ["packed", "unpacked"].map((one) => `holdfast_messages_${one}_total`);
    const [packed, unpacked] = await Promise.all(names.map((one) => gateway.metric(one)));
    return { packed, unpacked, connections };
}

async function mixed({ gateway, packers }, name, count, path) {
    const { call } = packers[name];
    await sleep(200); // whoever was there before has been counted
    const before = await counted(gateway, Infinity);
    const { number, extensions } = await call("open", gateway.url(path));
    const isAgreed = !DECLINED.has(name);
    check(/permessage-deflate/.test(extensions), isAgreed, `agreed in ${JSON.stringify(extensions)}`);
    const plan = planOf(count);
    for (let at = 0; at < plan.length; at += ON_THEIR_WAY) {
        const part = plan.slice(at, at + ON_THEIR_WAY);
        await Promise.all(part.map((one) => call("send", number, ...one)));
        for (const one of part) {
            await call("expect", number, ...one);
        }
    }
    check((await call("close", number, 1000, "")).code, 1000, "close code");
    const after = await counted(gateway, before.connections);
    const worth = (size) => (isAgreed ? plan.filter((one) => one[0] !== "noise" && one[1] >= size).length : 0);
    const packed = after.packed - before.packed;
    // Just above the threshold not every one becomes a tenth shorter.
    check(packed >= worth(512) && packed <= worth(256), true, `${packed} messages compressed by the gateway`);
    const unpacked = after.unpacked - before.unpacked;
    // The demo page says something, too, now and then.
    const compresses = isAgreed && !COMPRESSES_NOTHING.has(name);
    check(compresses ? unpacked >= count / 4 : unpacked <= 10, true, `${unpacked} compressed by the client`);
}

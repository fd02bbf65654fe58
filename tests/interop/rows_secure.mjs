// The same clients over wss: a certificate that nobody signed but us, which they are told not to judge.
import { check, row } from "./suite.mjs";

const SIZES = [0, 125, 126, 16384, 65536, 1 << 20];

export function addSecure(world) {
    for (const name of Object.keys(world.clients).filter((one) => one !== "python")) {
        for (const kind of ["text", "binary"]) {
            row(`${name}: wss, echo of ${kind} of every size`, () => echo(world, name, kind));
        }
        row(`${name}: wss, what it says on a channel comes back`, () => channel(world, name));
    }
}

async function echo({ gateway, clients }, name, kind) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.secureUrl("/echo"));
    for (const size of SIZES) {
        await call("send", number, kind, size, 7);
        await call("expect", number, kind, size, 7);
    }
    check((await call("close", number, 1000, "")).code, 1000, "close code");
}

async function channel({ gateway, clients, room }, name) {
    const { call } = clients[name];
    const { number } = await call("open", gateway.secureUrl(`/chat/${room()}`));
    for (let i = 0; i < 20; i++) {
        await call("send", number, "text", i * 1000, i);
    }
    for (let i = 0; i < 20; i++) {
        await call("expect", number, "text", i * 1000, i);
    }
    check((await call("close", number, 1000, "")).code, 1000, "close code");
}

// Starts what the rows share, and runs them. `run` is the command to type.
import { Gateway } from "./gateway.mjs";
import { options, run } from "./suite.mjs";
import { chromiumClient, fayeClient, pythonClient, pythonPacker, undiciClient, wsClient } from "./clients.mjs";
import { addClosing } from "./rows_closing.mjs";
import { addCompression } from "./rows_compression.mjs";
import { addCrowds } from "./rows_crowds.mjs";
import { addFronts } from "./rows_fronts.mjs";
import { addHttp } from "./rows_http.mjs";
import { addMessages } from "./rows_messages.mjs";
import { addNegotiation } from "./rows_negotiation.mjs";
import { addDaemons } from "./rows_daemons.mjs";
import { addSecure } from "./rows_secure.mjs";
import { addTutorial } from "./rows_tutorial.mjs";
import { addTunnels, endServices } from "./rows_tunnels.mjs";

const CONFIGURATION = `
listeners:
  - {address: "127.0.0.1:{port}"}
  - {address: "127.0.0.1:{secure}", tls: {certificate: chain.pem, key: key.pem}}
admin: {address: "127.0.0.1:{admin}"}
workers: 2
limits: {connections: 10000, message: 16MiB}
drain: 1s
log: {level: debug}
routes:
  - {path: /, page: demo}
  - {path: /echo, echo: {}}
  - {path: /own, echo: {}, compression: {takeover: server}}
  - {path: "/chat/{room}", channels: {subscribe: ["chat.{room}"], publish: "chat.{room}"}}
  - {path: "/others/{room}", channels: {subscribe: ["others.{room}"], publish: "others.{room}", echo_self: false}}
  - {path: /rooms, channels: {allow: ["room.*"]}}
  - {path: /versions, echo: {}, subprotocols: [chat.v2, chat.v1]}
  - {path: /text, echo: {}, messages: text}
  - {path: /binary, echo: {}, messages: binary}
  - {path: /small, echo: {}, limits: {message: 1000B}}
  - {path: /short, echo: {}, limits: {age: 1s}}
  - {path: /quiet, echo: {}, limits: {idle: 1s}}
  - {path: /watched, echo: {}, keepalive: {ping: 1s, pong: 900ms}}
  - {path: /mine, echo: {}, origins: ["http://127.0.0.1:{port}"], origins_required: true}
  - {path: /strange, echo: {}, origins: ["https://app.example.com"]}
`;

// What the gateway holds for clients.
async function held(gateway) {
    const names = ["connections", "channels", "subscriptions", "queue_bytes", "backlog_bytes", "payload_bytes"];
    const values = await Promise.all(names.map((name) => gateway.metric(`holdfast_${name}`)));
    return names.map((name, i) => `${name} ${values[i]}`).join(", ");
}

// Text when it still holds more than `before`, some seconds after everybody left.
async function leftOver(gateway, before) {
    for (let i = 0; i < 100; i++) {
        const now = await held(gateway).catch(() => before); // it has died, which is told elsewhere
        if (now === before) {
            return "";
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return `${await held(gateway)}; at first ${before}`;
}

const ALL = [addMessages, addClosing, addNegotiation, addHttp, addCrowds, addCompression, addSecure, addTunnels,
    addDaemons, addFronts, addTutorial];
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; // rows_secure.mjs; who judges certificates: tests/system
const chosen = options(process.argv.slice(2));
if (chosen.list) {
    ALL.forEach((add) => add({ clients: {}, packers: {} }));
    await run(chosen);
    process.exit();
}
const gateway = await Gateway.start(CONFIGURATION);
const before = await held(gateway);
const clients = {
    ws: await wsClient(),
    undici: await undiciClient(),
    python: await pythonClient(),
    chromium: await chromiumClient(`http://${gateway.address}/`),
};
// Those that compress: these, and others that know only a few words.
const packers = { ...clients, faye: await fayeClient() };
for (const library of ["aiohttp", "tornado", "wsproto"]) {
    packers[library] = await pythonPacker(library);
}
let rooms = 0;
const world = { gateway, clients, packers, room: () => `r${++rooms}` };
ALL.forEach((add) => add(world));
await run(chosen, async () => {
    await Promise.all(Object.values(packers).map((one) => one.close()));
    const left = await leftOver(gateway, before);
    const trouble = (await gateway.stop()) + (await endServices());
    return [left && `left when every client had gone: ${left}`, trouble && `the gateway: ${trouble}`].filter(Boolean);
});

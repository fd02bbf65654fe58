// Node's `ws`: /echo echoes, /chat passes each message to everybody there, its sender included. Node has no broadcast, so
// this is the loop that the library's own documentation shows.
import {WebSocketServer, WebSocket} from "ws";

const server = new WebSocketServer({host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false});
const room = new Set();

server.on("connection", (socket, request) => {
    if (request.url === "/echo") {
        socket.on("message", (data, isBinary) => socket.send(data, {binary: isBinary}));
        return;
    }
    room.add(socket);
    socket.on("close", () => room.delete(socket));
    socket.on("message", (data, isBinary) => {
        for (const other of room) {
            if (other.readyState === WebSocket.OPEN) {
                other.send(data, {binary: isBinary});
            }
        }
    });
});

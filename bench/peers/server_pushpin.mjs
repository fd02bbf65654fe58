// The service behind pushpin: every WebSocket is subscribed to the channel `chat`, and what one sends is published to it
// through pushpin's own port. (WebSocket-over-HTTP: each request carries events, `TYPE HEXLENGTH\r\nbytes\r\n`.)
import http from "node:http";

const [port, publishPort] = process.argv.slice(2).map(Number);
const agent = new http.Agent({keepAlive: true, maxSockets: 1});

function* events(body) {
    for (let at = 0; at < body.length;) {
        const end = body.indexOf("\r\n", at);
        const [type, size] = body.subarray(at, end).toString().split(" ");
        const length = size === undefined ? 0 : parseInt(size, 16);
        yield {type, content: body.subarray(end + 2, end + 2 + length)};
        at = end + 2 + (size === undefined ? 0 : length + 2);
    }
}

const event = (type, content) => `${type} ${Buffer.byteLength(content).toString(16)}\r\n${content}\r\n`;

function publish(content) {
    const items = [{channel: "chat", formats: {"ws-message": {content: content.toString("latin1")}}}];
    const request = http.request({agent, host: "127.0.0.1", port: publishPort, path: "/publish/", method: "POST"});
    request.on("response", (answer) => answer.resume());
    request.on("error", (error) => console.error(error.message));
    request.end(JSON.stringify({items}));
}

http.createServer((request, answer) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
        let body = "";
        for (const {type, content} of events(Buffer.concat(pieces))) {
            if (type === "OPEN") {
                body += "OPEN\r\n" + event("TEXT", `c:${JSON.stringify({type: "subscribe", channel: "chat"})}`);
            } else if (type === "CLOSE") {
                body += event("CLOSE", content.toString("latin1"));
            } else if (type === "TEXT" || type === "BINARY") {
                publish(content);
            }
        }
        answer.writeHead(200, {
            "Content-Type": "application/websocket-events",
            "Sec-WebSocket-Extensions": 'grip; message-prefix=""',
        });
        answer.end(body, "latin1");
    });
}).listen(port, "127.0.0.1", 4096);

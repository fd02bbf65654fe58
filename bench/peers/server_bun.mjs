// Bun's own server (uWebSockets inside): /echo echoes, /chat publishes to its topic, the sender included.
Bun.serve({
    hostname: "127.0.0.1",
    port: Number(process.argv[2]),
    fetch(request, server) {
        const isChat = new URL(request.url).pathname !== "/echo";
        return server.upgrade(request, {data: {isChat}}) ? undefined : new Response("upgrade", {status: 426});
    },
    websocket: {
        perMessageDeflate: false,
        publishToSelf: true,
        idleTimeout: 0,
        backpressureLimit: 64 * 1024 * 1024,
        open(socket) {
            if (socket.data.isChat) {
                socket.subscribe("chat");
            }
        },
        message(socket, data) {
            if (socket.data.isChat) {
                socket.publish("chat", data);
            } else {
                socket.send(data);
            }
        },
    },
});

// The words that rows are written in, over the WebSocket interface of the HTML standard. The same text runs in
// Chromium and in Node.js (ws, undici); python_client.py says the same in Python. A payload is named by (kind, size,
// seed), so that it is made where it is sent and made again where it is checked.

globalThis.interopPayload = (() => {
    const PERIOD = 65521; // prime: a lost or doubled piece of any usual size shifts the pattern

    function repeat(pattern, size) {
        const whole = new Uint8Array(size);
        for (let at = 0; at < size; at += pattern.length) {
            whole.set(pattern.subarray(0, Math.min(pattern.length, size - at)), at);
        }
        return whole;
    }

    const made = new Map(); // the newest patterns, by kind and seed: rows use few seeds often

    function pattern(key, make) {
        if (!made.has(key)) {
            if (made.size >= 32) {
                made.clear();
            }
            made.set(key, make());
        }
        return made.get(key);
    }

    function bytes(size, seed) {
        const make = () => Uint8Array.from({ length: PERIOD }, (_, i) => (i * 31 + (i >> 8) * 17 + seed) & 255);
        return repeat(pattern(`bytes ${seed}`, make), size);
    }

    // Bytes that no compressor makes shorter.
    function noise(size, seed) {
        const make = () => {
            let state = seed;
            return Uint8Array.from({ length: PERIOD }, () => {
                state = (Math.imul(state, 1664525) + 1013904223) | 0;
                return state >>> 24;
            });
        };
        return repeat(pattern(`noise ${seed}`, make), size);
    }

    // UTF-8 of exactly `size` bytes, with characters of one to four bytes.
    function utf8(size, seed) {
        const make = () => {
            const words = Array.from({ length: 4096 }, (_, i) => `${seed}.${i} ß€😀 `);
            return new TextEncoder().encode(words.join(""));
        };
        const encoded = pattern(`text ${seed}`, make);
        const whole = repeat(encoded, size + 4);
        let cut = size;
        while (cut > 0 && (whole[cut] & 0xc0) === 0x80) {
            cut--;
        }
        return whole.fill(0x78, cut).subarray(0, size);
    }

    return { bytes, noise, utf8, text: (size, seed) => new TextDecoder().decode(utf8(size, seed)) };
})();

globalThis.interopClient = (WebSocket, patienceMs) => {
    const { bytes, noise, text } = globalThis.interopPayload;
    const payload = (kind, size, seed) => (kind === "text" ? text : kind === "noise" ? noise : bytes)(size, seed);
    const connections = new Map(); // number -> {socket, inbox, readers, end}
    let count = 0;

    function patience(promise, what) {
        let timer = 0;
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => reject(new Error(`${what}: nothing in ${patienceMs} ms`)), patienceMs);
        });
        return Promise.race([promise, late]).finally(() => clearTimeout(timer));
    }

    function make(url, protocols) {
        const socket = protocols ? new WebSocket(url, protocols) : new WebSocket(url);
        const connection = { socket, inbox: [], readers: [] };
        socket.binaryType = "arraybuffer";
        const give = (item) => (connection.readers.shift() ?? ((one) => connection.inbox.push(one)))(item);
        socket.addEventListener("message", (event) => give({ data: event.data }));
        connection.end = new Promise((resolve) => {
            socket.addEventListener("close", (event) => {
                const end = { code: event.code, reason: event.reason, clean: event.wasClean };
                connection.readers.splice(0).forEach((reader) => reader({ end }));
                connection.inbox.push({ end });
                resolve(end);
            });
        });
        connection.opened = new Promise((resolve, reject) => {
            socket.addEventListener("open", resolve);
            socket.addEventListener("error", () => reject(new Error("not opened: an error"))); // undici says no more
            connection.end.then((end) => reject(new Error(`not opened: ${end.code}`)));
        });
        connection.opened.catch(() => {});
        return connection;
    }

    // Ten at a time: browsers hold back a page that opens more.
    async function makeMany(url, size) {
        const many = [];
        while (many.length < size) {
            const some = Array.from({ length: Math.min(10, size - many.length) }, () => make(url));
            await patience(Promise.all(some.map((one) => one.opened)), "open");
            many.push(...some);
        }
        return many;
    }

    async function take(connection) {
        const item = connection.inbox.shift() ?? (await patience(new Promise((r) => connection.readers.push(r)), "message"));
        if (item.end) {
            throw new Error(`closed with ${item.end.code} ${item.end.reason}`);
        }
        return item.data;
    }

    function compare(data, kind, size, seed) {
        const got = typeof data === "string" ? "text" : "binary";
        if ((got === "text") !== (kind === "text")) {
            throw new Error(`expected ${kind}, got ${got}`);
        }
        const wanted = payload(kind, size, seed);
        if (kind === "text") {
            if (data !== wanted) {
                throw new Error(`text of ${wanted.length} units differs, got ${data.length}: ${data.slice(0, 40)}`);
            }
            return;
        }
        const given = new Uint8Array(data);
        const differs = given.length === size ? given.findIndex((byte, i) => byte !== wanted[i]) : 0;
        if (given.length !== size || differs >= 0) {
            throw new Error(`binary of ${size} bytes differs at ${differs}, got ${given.length}`);
        }
    }

    const words = {
        async open(url, protocols) {
            const connection = make(url, protocols);
            await patience(connection.opened, "open");
            connections.set(++count, connection);
            const { protocol, extensions } = connection.socket;
            return { number: count, protocol, extensions };
        },
        async send(number, kind, size, seed) {
            connections.get(number).socket.send(payload(kind, size, seed));
        },
        async say(number, words_) {
            connections.get(number).socket.send(words_);
        },
        async expect(number, kind, size, seed) {
            compare(await take(connections.get(number)), kind, size, seed);
        },
        async hear(number) {
            const data = await take(connections.get(number));
            return typeof data === "string" ? data : `binary ${data.byteLength}`;
        },
        async close(number, code, reason) {
            const { socket } = connections.get(number);
            code === undefined || code === null ? socket.close() : socket.close(code, reason);
            return words.closed(number);
        },
        async closed(number) {
            return patience(connections.get(number).end, "close");
        },
        // `size` connections of one channel; each says one word, all must hear all words in one order. Returns the order.
        async crowd(url, size) {
            const crowd = await makeMany(url, size);
            crowd.forEach((one, index) => one.socket.send(`${index}`));
            const orders = [];
            for (const one of crowd) {
                const order = [];
                while (order.length < size) {
                    order.push(await take(one));
                }
                orders.push(order.join(" "));
            }
            const odd = orders.findIndex((order) => order !== orders[0]);
            if (odd >= 0) {
                throw new Error(`connection ${odd} heard another order than the first`);
            }
            crowd.forEach((one) => one.socket.close());
            await patience(Promise.all(crowd.map((one) => one.end)), "a crowd's close");
            return orders[0].split(" ").map(Number);
        },
        // `size` connections that stay open until the server ends them. Returns how they ended.
        async hold(url, size) {
            words.held = await makeMany(url, size);
        },
        async heldEnds() {
            return patience(Promise.all(words.held.map((one) => one.end)), "the end of all");
        },
    };
    words.connections = connections;
    return words;
};

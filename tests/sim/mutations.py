"""Planted bugs: what each stands for, and who must notice. A row is name, stands for, file, old text, new text, and by:
`sim` (a seed), `sim-tls` (the same), or a program of tests/contract. The old text stands in its file exactly once."""

SIM, SIM_TLS, CLOSE, QUEUE, RING = "sim", "sim-tls", "contract_close", "contract_queue", "contract_ring"
SEND, RECEIVE, SLOT, LISTEN = "contract_send", "contract_receive", "contract_slot", "contract_listen"
DOORBELL, ZERO_COPY = "contract_doorbell", "contract_zero_copy"
LINK, ACCEPT = "gateway/link/link.c", "gateway/link/link_accept.c"
BUS, OUT, CONN = "gateway/bus/bus.c", "core/conn/conn_out.c", "core/conn/conn.c"
WORKER = "gateway/worker/worker.c"
SECURE, SHAKE = "gateway/worker/secure.c", "gateway/worker/secure_shake.c"
HTTP = "core/conn/conn_http.c"
FORWARD = "gateway/auth/forward.c"
SERVER, NAMES = "gateway/upstream/server.c", "gateway/upstream/names.c"
LINE, ANSWER, TUNNEL = "gateway/upstream/line.c", "gateway/upstream/answer.c", "gateway/proxy/tunnel.c"

MUTATIONS = [
    # --- laws
    ("newer mail overtakes the backlog", "L1", BUS, "bus->backlogs[target].first == 0 &&\n        pieces_put",
     "pieces_put", SIM),
    ("a message after the Close", "L2", OUT, "    if (conn->state != CONN_OPEN) {\n        return CONN_SENT_CLOSED;",
     "    if (conn->state < CONN_OPEN || conn->state > CONN_CLOSING) {\n        return CONN_SENT_CLOSED;", SIM),
    ("a length in more bytes than it needs", "L3", "core/hub/payload.c", "LENGTH_16_MAX = 65535,", "LENGTH_16_MAX = 300,", SIM),
    ("the queue has no bound", "L4", "core/hub/outbox.c",
     "bool is_over = outbox->queued_bytes + bytes > bounds.queue_bytes_max;", "bool is_over = false;", SIM),
    ("a stale receive keeps its buffer", "L5", LINK,
     "            buffer_give(link, completion->ring, completion->buffer_id);\n        }\n        event->kind",
     "        }\n        event->kind", SIM),
    ("a buffer is given back twice", "L5", LINK, "    buffer_give(link, event->ring, event->buffer_id);",
     "    buffer_give(link, event->ring, event->buffer_id);\n    io_buffer_give(link->io, event->ring, event->buffer_id);",
     SIM),
    ("deadlines are never armed again", "L6", "core/conn/conn_time.c",
     "    if (conn->state != CONN_ENDED) {\n        conn_arm(conns, index);", "    if (false) {\n        conn_arm(conns, index);",
     SIM),
    ("a slot is free one completion early", "L7", LINK,
     "slot->state != LINK_CLOSING || slot->flight != 0", "slot->state != LINK_CLOSING || (slot->flight & ~LINK_POLLING) != 0",
     SIM),
    ("a cause is counted twice", "L8", CONN, "    conns->counters->faults[conn->fault]++;",
     "    conns->counters->faults[conn->fault] += 2;", SIM),
    ("a fan-out takes the whole turn", "L9", WORKER,
     "uint32_t budget = worker->was_busy ? SENDS_BUSY_MAX : SENDS_IDLE_MAX;", "uint32_t budget = UINT32_MAX;", SIM),
    ("jitter from an address", "L10", "gateway/worker/worker_open.c", ".jitter_seed = options->random[4]};",
     ".jitter_seed = (uint64_t)(uintptr_t)worker};", SIM),
    # --- pitfalls of io_uring, by their number
    ("a poll that ended is not armed again", "1", LINK,
     "        slot->flight |= LINK_POLLING;\n        io_poll(link->io, link_handle(link, id));\n    }\n    *event",
     "    }\n    *event", SIM),
    ("those without a buffer wait for ever", "2", LINK, "    link->starved[ring].turns += link->starved[ring].turns < LINK_TURNS_MAX;",
     "    (void)link;\n    (void)ring;", SIM),
    ("armed accepts are not counted", "3", ACCEPT, "link->slots_per_ring - link->used[ring] - link->armed[ring]",
     "link->slots_per_ring - link->used[ring]", SIM),
    ("no generation is looked at", "4", LINK,
     "if (slot->generation == completion->generation && slot->state != LINK_FREE) {", "if (slot->state != LINK_FREE) {", SIM),
    ("closed with the poll armed", "5", LINK, "    if ((slot->flight & LINK_POLLING) != 0) {\n        slot->flight |= LINK_CANCELLING;",
     "    if (false) {\n        slot->flight |= LINK_CANCELLING;", SIM),
    ("a close overtakes the send", "6", LINK, "(slot->flight & ~LINK_POLLING) != 0 || (slot->flags & LINK_STARVED) != 0",
     "(slot->flight & ~(LINK_POLLING | LINK_SENDING | LINK_SEND_CANCELLING)) != 0 || (slot->flags & LINK_STARVED) != 0", SIM),
    ("a reset behind bytes is not looked for", "7", LINK,
     "bool is_end_due = completion->result > 0 && (slot->flags & LINK_HANGUP) != 0;", "bool is_end_due = false;", SIM),
    ("an overflow is not counted", "8", "gateway/io/turn.c",
     "io->stats.completion_overflows += is_overflow && !ring->is_overflow_known;", "", QUEUE),
    ("a partial send counts as whole", "9", "gateway/worker/clients.c", "    conn_sent(conns, event->owner, event->bytes);",
     "    conn_sent(conns, event->owner, event->bytes > 0 ? event->bytes + 1 : 0);", SIM),
    ("a send's bytes stand where the next one's will", "9", "gateway/worker/clients.c",
     "        link_send(&clients->link, id, pieces, count);\n",
     "        static uint8_t place[1 << 20];\n        uint32_t at = 0;\n        for (uint32_t i = 0; i < count; i++) {\n"
     "            __builtin_memcpy(place + at, pieces[i].data, pieces[i].length);\n            pieces[i].data = place + at;\n"
     "            at += pieces[i].length;\n        }\n"
     "        link_send(&clients->link, id, pieces, count);\n", SIM),
    ("two sends at once", "10", "gateway/worker/clients.c",
     "        clients->pieces_sent++;\n",
     "        clients->pieces_sent++;\n        struct io_handle twice = {.slot = id & 0xffffff, .generation = "
     "link_slot_at(&clients->link, id)->generation, .ring = (uint8_t)(id >> 24)};\n"
     "        io_send(clients->link.io, twice, pieces[0]);\n", SIM),
    ("what was sealed and sent is sealed once more", "TLS", SECURE,
     "uint32_t plain_bytes = is_whole ? secure->plain_bytes : 0;", "uint32_t plain_bytes = 0;", SIM),
    ("a sealed block is not given back", "TLS", SECURE,
     "        arena_give(clients->conns.arena, secure->sealed_block);\n    }\n    secure->sealed_block = 0;",
     "        (void)clients;\n    }\n    secure->sealed_block = 0;", SIM),
    ("a handshake is not counted out", "TLS", SHAKE, "    secures->shake_count--;\n", "", SIM),
    ("what came while a handshake waited is not read", "TLS", SHAKE,
     "        conn_touch(&clients->conns, index); // what came while it waited is read now\n", "        (void)0;\n", SIM),
    ("a record is received behind its head's memory", "TLS", SECURE,
     "if (arena_block_bytes(clients->conns.arena, secure->tail_block) < secure->tail_wanted) {", "if (false) {", SIM_TLS),
    ("a number of a record serves twice", "TLS", "gateway/tls/record.c", "    record->out.sequence++;\n", "", SIM_TLS),
    ("a forged record is answered with another alert", "TLS", "gateway/tls/record_open.c",
     "FAULT_tls_record_forged, TLS_ALERT_BAD_RECORD_MAC", "FAULT_tls_record_forged, TLS_ALERT_DECODE_ERROR", SIM_TLS),
    ("a KeyUpdate changes no key", "TLS", "gateway/tls/record_open.c", "        tls_record_rekey(record, &record->in);\n", "",
     SIM_TLS),
    # --- compression
    ("a compressed message ends its stream", "deflate", "core/ws/deflate.c",
     "if (length == 0 || !final_clear(deflate, data, &length)) {", "(void)final_clear;\n    if (length == 0) {", SIM),
    ("a connection's stream is not given back", "deflate", CONN,
     "        ws_takeover_close(conns->takeover, conns->streams[index]);\n", "", SIM),
    ("a window larger than the client asked for", "deflate", HTTP,
     "uint8_t bits = terms.server_window_bits < WS_TAKEOVER_BITS_MAX ?", "uint8_t bits = false ?", SIM),
    ("a stream goes on after what was not sent", "deflate", "core/ws/takeover.c",
     "    if (!is_whole) {\n        ws_takeover_reset(takeover, stream);", "    if (!is_whole) {", SIM),
    # --- services
    ("a kept line is reused with bytes left on it", "service", LINE,
     "line->state >= LINE_SHAKING && line->state <= LINE_IDLE &&", "line->state >= LINE_SHAKING && line->state < LINE_IDLE &&", SIM),
    ("what may not be repeated is asked again", "service", ANSWER,
     "exchange->head != 0 &&\n           (exchange->flags & UPSTREAM_ASK_SAFE) != 0;", "exchange->head != 0;", SIM),
    ("a tunnel's client is never paused", "service", TUNNEL,
     "relay->queue_bytes / 2) {\n        conn_pause(proxy->conns, index);", "UINT32_MAX - 1) {\n        conn_pause(proxy->conns, index);",
     SIM),
    ("an answer cut short ends as if it were whole", "service", "gateway/upstream/answer.c",
     "if (error == 0 && http_body_end(&line->body)) {", "if (error == 0) {", SIM),
    ("who is refused by the service that is asked comes in", "auth", FORWARD,
     'return refused(FAULT_auth_forbidden, "the service answered 403");', "return (struct forward_verdict){.fault = FAULT_none};", SIM),
    ("what a service said of one counts for all", "auth", FORWARD,
     ".hash = {siphash(&forwards->secret[0], sent), siphash(&forwards->secret[2], sent)},", ".hash = {sent.length > 0, 0},", SIM),
    ("a server that its checks call bad is asked", "servers", SERVER, "upstream_server_is_present(server) && !server->is_down &&",
     "upstream_server_is_present(server) &&", SIM),
    ("a server that its name has lost is asked", "servers", SERVER, "upstream_server_is_present(server) && !server->is_down &&",
     "server->address.kind != ADDRESS_NONE && !server->is_down &&", SIM),
    ("a name loses no server", "servers", NAMES, "        if (!is_wanted && upstream_server_is_present(server)) {",
     "        if (false) {", SIM),
    # --- threads
    ("a sleeper is not rung", "11", BUS, "            io_doorbell_ring(endpoint->doorbell);", "            (void)endpoint;", SIM),
    ("a thread falls asleep over its mail", "11", BUS, "        if (mailbox_has_mail(bus_mailbox(bus, source, bus->self))) {",
     "        if (false) {", SIM),
    ("a doorbell wakes nobody", "11", "gateway/io/doorbell.c", "    uint64_t one = 1;\n    // Fails",
     "    return;\n    uint64_t one = 1;\n    // Fails", DOORBELL + " no_ring_is_lost_with_three_rings"),
    ("any thread may turn", "12", "gateway/io/submit.c", "pthread_self() != io->owner", "false", QUEUE),
    ("a full queue is overwritten", "13", "gateway/io/submit.c",
     "bool has_room = queue->ring_entries - ring_pending(ring) >= count;", "bool has_room = count > 0;", QUEUE),
    ("a message's room is made after it was taken", "13", "gateway/io/submit.c",
     "is_full ? ring->uring.sq.ring_entries : 1;", "is_full ? ring->uring.sq.ring_entries : 0;", QUEUE),
    ("a signal is an error", "14", "gateway/io/submit.c", "        case -EINTR:\n        case -ETIME:", "        case -ETIME:", QUEUE),
    ("more slots than there are files", "15", "gateway/io/open.c", "options_clamp(options, files.rlim_cur)",
     "options_clamp(options, UINT64_MAX)", RING),
    ("receive buffers are locked in memory", "16", "gateway/io/buffers.c", "MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0",
     "MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0", RING + " without_privileges"),
    ("a send without a copy ends while the socket has its memory", "zero copy", "gateway/io/zero_copy.c",
     "        if (completion->more) {\n            return false;\n        }", "        completion->more = false;",
     ZERO_COPY + " it_completes_when_the_peer_has_it"),
    ("pages that went back stay registered", "zero copy", "gateway/io/zero_copy.c",
     "if (step_is_registered(&io->rings[i], (uint32_t)at)) {", "if (step_is_registered(&io->rings[i], (uint32_t)at) && at > 99) {",
     ZERO_COPY + " returned_memory_is_sent_as_it_is_now"),
    ("a cancelled send waits for its peer", "zero copy", "gateway/io/prepare.c",
     "    zero_copy_cancel(io, handle);\n", "", ZERO_COPY + " a_cancelled_one_resets_the_peer"),
    ("a listener is closed with accepts armed", "17", "gateway/worker/worker_pressure.c",
     "worker->stream.is_draining && link_is_accept_quiet(link)", "worker->stream.is_draining", SIM),
    ("descriptors live on in a child", "18", "gateway/io/doorbell.c", "EFD_CLOEXEC | EFD_NONBLOCK", "EFD_NONBLOCK", RING),
    ("a ring may take the whole turn", "19", "gateway/io/turn.c",
     "ring->taken_count < COMPLETIONS_TURN_MAX && ring_ready", "ring_ready", QUEUE),
    ("receives go to the kernel's threads", "21", "gateway/io/prepare.c", "    entry->flags |= IOSQE_FIXED_FILE;",
     "    entry->flags |= IOSQE_FIXED_FILE | (operation == IO_RECEIVE ? IOSQE_ASYNC : 0);", RING + " no_kernel_threads"),
    ("an event while it does not read is lost", "25", LINK, "    slot->flags |= LINK_READABLE_SEEN;\n    if (completion->result > 0 &&",
     "    if (completion->result > 0 &&", SIM),
]

# Pitfalls without a planted bug, and why.
NOT_PLANTED = [
    ("20", "pressure on the memory of all sockets is the kernel's state: what it does to us are slow sends and refused accepts, "
           "which the menu has (send_slow, send_stuck, accept_memory)"),
    ("22", "a guard against kernels without a feature breaks nothing on a kernel that has it"),
    ("23", "a receive in more pieces than needed is only slower: bench/ watches it; that any pieces are right is receive_short"),
    ("24", "ports of the load generator: bench/ has it, the gateway opens no connections of that kind"),
    ("26", "how memory is measured: bench/ alone"),
]

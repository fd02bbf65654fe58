// Records between a socket and its connection, behind the handshake.
#include "gateway/worker/secure_internal.h"
#include "tests/unit/gateway/worker/clients_test.h"

#include "tests/unit/gateway/tls/tls_pair.h"

enum { MESSAGE_BYTES = 1000 };

// An open connection goes on under TLS, as if it had shaken hands before; its peer has the other
// end.
static void secure_begin(struct rig *rig, link_id id, struct pair *pair) {
    static struct secure table[CONNS + 1];
    static uint32_t peers[CONNS + 1];
    static struct secures secures;
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    secures = (struct secures){.table = table, .peers = peers};
    rig->clients.secures = &secures;
    secure_open(&rig->clients, index);
    pair_init(pair, 0);
    secure_at(&rig->clients, index)->session.compact = pair->server;
    secure_at(&rig->clients, index)->state = SECURE_OPEN;
}

// A message in one frame in one record; its length.
static uint32_t record_make(struct pair *pair, uint8_t *target, uint32_t room) {
    static const uint8_t key[4] = {0};
    uint8_t frame[MESSAGE_BYTES + FRAME_HEAD_BYTES_MAX];
    uint32_t head = ws_frame_head_encode_masked(frame, WS_BINARY, 0, MESSAGE_BYTES, key);
    memset(frame + head, 'x', MESSAGE_BYTES);
    struct span piece = span_make(frame, head + MESSAGE_BYTES);
    int64_t sealed = tls_record_seal(&pair->client, &piece, 1,
                                     (struct span_mut){.data = target, .length = room});
    cr_assert_gt(sealed, MESSAGE_BYTES);
    return (uint32_t)sealed;
}

// What is received next goes where it belongs: the head came in two pieces and nothing behind them,
// so that memory was taken for a head alone.
Test(secure, a_record_whose_head_comes_in_pieces_is_not_received_beyond_its_memory) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    struct pair pair;
    secure_begin(rig, id, &pair);
    uint8_t record[2 * MESSAGE_BYTES];
    uint32_t length = record_make(&pair, record, sizeof record);
    peer_sends(rig, id, record, 2);
    peer_sends(rig, id, record + 2, TLS_RECORD_HEAD_BYTES - 2);
    const struct secure *secure = secure_at(&rig->clients, index);
    cr_assert_eq(secure->tail_wanted, length);
    struct span_mut target = secure_target(&rig->clients, index);
    cr_assert_leq(secure->tail_bytes + target.length,
                  arena_block_bytes(&rig->arena, secure->tail_block));
    peer_sends(rig, id, record + TLS_RECORD_HEAD_BYTES, length - TLS_RECORD_HEAD_BYTES);
    cr_assert_eq(rig->messages, 1);
    rig_close(rig);
}

// Once there is memory for all of it, the rest is received into it.
Test(secure, a_record_is_received_at_every_split) {
    struct rig *rig = rig_open();
    link_id id = open_socket(rig);
    uint32_t index = link_slot_at(&rig->clients.link, id)->owner;
    struct pair pair;
    secure_begin(rig, id, &pair);
    uint8_t record[2 * MESSAGE_BYTES];
    uint32_t count = MESSAGE_BYTES;
    for (uint32_t split = 1; split < count; split++) {
        uint32_t length = record_make(&pair, record, sizeof record);
        count = length;
        peer_sends(rig, id, record, split);
        peer_sends(rig, id, record + split, length - split);
        cr_assert_eq(rig->messages, split);
        const struct secure *secure = secure_at(&rig->clients, index);
        fake_sent(&rig->io, id, (int32_t)secure->sealed_bytes); // the echo
        turn(rig);
    }
    rig_close(rig);
}

Test(secure, the_librarys_memory_is_whole_steps_for_any_number_of_connections) {
    for (uint32_t connections = 1; connections <= 1000; connections++) {
        struct secures_options options = {.connection_max = connections, .keeps_library = true};
        secures_memory_size(&options);
        cr_assert_eq(options.space.length % ARENA_STEP_BYTES, 0, "%u", connections);
    }
}

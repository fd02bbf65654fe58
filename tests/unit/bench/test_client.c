// The client engine against a server of this very process, that says exactly the bytes a test
// wants, in the pieces it wants.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/client.h"

struct seen {
    uint8_t *message; // the last one
    size_t message_count;
    uint32_t messages;
    uint32_t batches;
    uint32_t opened;
    uint32_t closed;
    uint16_t code;
    int endless; // a socket that says as much again whenever a batch was taken; 0: none
};

enum { ENDLESS_BYTES = 16384 };
static uint8_t endless[ENDLESS_BYTES]; // a binary message

struct scene {
    struct client client;
    struct seen seen;
    int listener;
    int server;
};

static void on_open(struct client *client, struct peer *peer) {
    (void)peer;
    ((struct seen *)client->mode)->opened++;
}

static void on_message(struct client *client, struct peer *peer, const uint8_t *bytes,
                       size_t count) {
    struct seen *seen = client->mode;
    (void)peer;
    free(seen->message);
    seen->message = malloc(count + 1);
    memcpy(seen->message, bytes, count);
    seen->message_count = count;
    seen->messages++;
}

static void on_batch(struct client *client, struct peer *peer) {
    struct seen *seen = client->mode;
    (void)peer;
    seen->batches++;
    if (seen->endless != 0) {
        (void)send(seen->endless, endless, sizeof endless, MSG_NOSIGNAL); // seen by what comes
    }
}

static void on_closed(struct client *client, struct peer *peer) {
    struct seen *seen = client->mode;
    seen->closed++;
    seen->code = peer->close_code;
}

static void turns(struct scene *scene) {
    for (int i = 0; i < 3; i++) {
        client_turn(&scene->client, 20);
    }
}

static void say(struct scene *scene, const void *bytes, size_t count) {
    cr_assert_eq(send(scene->server, bytes, count, MSG_NOSIGNAL), (ssize_t)count);
    client_turn(&scene->client, 50);
}

// Reads what the client has sent into `target`.
static size_t hear(struct scene *scene, uint8_t *target, size_t size) {
    ssize_t count = recv(scene->server, target, size, MSG_DONTWAIT);
    return count < 0 ? 0 : (size_t)count;
}

static void scene_init(struct scene *scene) {
    static const struct client_hooks HOOKS = {
        .on_open = on_open, .on_message = on_message, .on_batch = on_batch, .on_closed = on_closed};
    memset(scene, 0, sizeof *scene);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    scene->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(scene->listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(scene->listener, 1), 0);
    cr_assert_eq(getsockname(scene->listener, (struct sockaddr *)&address, &length), 0);
    struct client_options options = {.address = address,
                                     .host = "test",
                                     .path = "/room/{n}?a=b",
                                     .path_count = 7,
                                     .first_index = 16,
                                     .peer_count = 1,
                                     .key = "dGhlIHNhbXBsZSBub25jZQ=="};
    cr_assert_eq(client_init(&scene->client, &options, &HOOKS, &scene->seen), 0);
    cr_assert_eq(client_connect(&scene->client, &scene->client.peers[0]), 0);
    scene->server = accept(scene->listener, NULL, NULL);
    turns(scene);
}

static void scene_open(struct scene *scene) {
    static const char ANSWER[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    uint8_t request[1024];
    scene_init(scene);
    size_t count = hear(scene, request, sizeof request - 1);
    request[count] = 0;
    cr_assert(strncmp((char *)request, "GET /room/2?a=b HTTP/1.1\r\nHost: test\r\n", 38) == 0, "%s",
              request);
    say(scene, ANSWER, 60);
    cr_assert_eq(scene->seen.opened, 0);
    say(scene, ANSWER + 60, sizeof ANSWER - 1 - 60);
    cr_assert_eq(scene->seen.opened, 1);
    cr_assert_eq(scene->client.open_count, 1);
}

static void scene_fini(struct scene *scene) {
    client_fini(&scene->client);
    free(scene->seen.message);
    close(scene->server);
    close(scene->listener);
}

Test(client, a_message_is_whole_wherever_it_is_cut) {
    struct scene scene;
    static uint8_t frame[4 + 300] = {0x82, 126, 300 >> 8, 300 & 255};
    for (size_t i = 0; i < 300; i++) {
        frame[4 + i] = (uint8_t)i;
    }
    scene_open(&scene);
    for (size_t cut = 1; cut < sizeof frame; cut += cut < 8 ? 1 : 37) {
        uint32_t before = scene.seen.messages;
        say(&scene, frame, cut);
        cr_assert_eq(scene.seen.messages, before);
        say(&scene, frame + cut, sizeof frame - cut);
        cr_assert_eq(scene.seen.messages, before + 1, "cut at %zu", cut);
        cr_assert_eq(scene.seen.message_count, 300);
        cr_assert_arr_eq(scene.seen.message, frame + 4, 300);
    }
    cr_assert_eq(scene.client.peers[0].tail.data, NULL);
    cr_assert_str_empty(scene.client.error);
    scene_fini(&scene);
}

Test(client, one_byte_at_a_time) {
    struct scene scene;
    static const uint8_t FRAMES[] = "\x81\x02hi\x89\x01p\x02\x01"
                                    "a\x8a\x00\x80\x02"
                                    "bc\x88\x05\x03\xf4"
                                    "bye";
    scene_open(&scene);
    for (size_t i = 0; i < sizeof FRAMES - 1; i++) {
        say(&scene, FRAMES + i, 1);
    }
    cr_assert_eq(scene.seen.messages, 2); // the second one in two fragments with a pong between
    cr_assert_eq(scene.seen.message_count, 3);
    cr_assert_arr_eq(scene.seen.message, "abc", 3);
    cr_assert_eq(scene.client.peers[0].pings, 1);
    uint8_t heard[64];
    cr_assert_eq(hear(&scene, heard, sizeof heard), 7 + 8); // a pong of 1 byte, a Close of 2
    cr_assert_eq(heard[0], 0x8a);
    cr_assert_eq(heard[1], 0x81);
    cr_assert_eq(heard[6] ^ heard[2], 'p');
    cr_assert_eq(heard[7], 0x88);
    cr_assert_eq(scene.seen.closed, 0);
    close(scene.server);
    turns(&scene);
    cr_assert_eq(scene.seen.closed, 1);
    cr_assert_eq(scene.seen.code, 1012);
    cr_assert_str_empty(scene.client.error);
    scene_fini(&scene);
}

Test(client, many_frames_in_one_receive_are_one_batch) {
    struct scene scene;
    scene_open(&scene);
    uint32_t before = scene.seen.batches;
    say(&scene,
        "\x81\x01"
        "a\x81\x01"
        "b\x81\x01"
        "c\x81",
        10);
    cr_assert_eq(scene.seen.messages, 3);
    cr_assert_eq(scene.seen.batches, before + 1);
    cr_assert_eq(scene.client.peers[0].tail.count, 1);
    scene_fini(&scene);
}

Test(client, a_lost_connection_is_1006) {
    struct scene scene;
    scene_open(&scene);
    close(scene.server);
    turns(&scene);
    cr_assert_eq(scene.seen.closed, 1);
    cr_assert_eq(scene.seen.code, CLIENT_CLOSE_LOST);
    cr_assert_eq(scene.client.open_count, 0);
    scene_fini(&scene);
}

Test(client, bytes_behind_a_close_frame_are_a_fault) {
    struct scene scene;
    scene_open(&scene);
    say(&scene, "\x88\x02\x03\xe8\x81\x01x", 7);
    cr_assert_eq(scene.seen.messages, 0);
    cr_assert(strstr(scene.client.error, "behind the Close frame") != NULL);
    scene_fini(&scene);
}

Test(client, a_masked_server_frame_is_a_fault) {
    struct scene scene;
    scene_open(&scene);
    say(&scene, "\x81\x81mmmmx", 7);
    cr_assert_eq(scene.seen.messages, 0);
    cr_assert_eq(scene.seen.closed, 1);
    cr_assert_str_not_empty(scene.client.error);
    scene_fini(&scene);
}

Test(client, a_refusal_is_told) {
    struct scene scene;
    scene_init(&scene);
    say(&scene, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", 53);
    cr_assert_eq(scene.seen.opened, 0);
    cr_assert_eq(scene.client.closed_count, 1);
    cr_assert_str_eq(scene.client.error, "handshake refused: HTTP/1.1 503 Service Unavailable");
    scene_fini(&scene);
}

Test(client, a_paused_peer_reads_nothing_until_it_resumes) {
    struct scene scene;
    scene_open(&scene);
    client_pause(&scene.client, &scene.client.peers[0], true);
    say(&scene, "\x81\x01z", 3);
    turns(&scene);
    cr_assert_eq(scene.seen.messages, 0);
    client_pause(&scene.client, &scene.client.peers[0], false);
    cr_assert_eq(scene.seen.messages, 1);
    scene_fini(&scene);
}

Test(client, a_peer_that_is_always_answered_leaves_the_others_their_turn) {
    struct scene scene;
    memcpy(endless, "\x82\x7e\x3f\xfc", 4); // 16380 bytes follow
    scene_open(&scene);
    client_pause(&scene.client, &scene.client.peers[0], true);
    say(&scene, endless, sizeof endless);
    scene.seen.endless = scene.server;
    client_pause(&scene.client, &scene.client.peers[0], false); // reads until there is nothing
    uint32_t first = scene.seen.messages;
    cr_assert(first > 1 && first < 100, "%u", first);
    client_turn(&scene.client, 0);
    cr_assert(scene.seen.messages > first, "it is not read on");
    scene.seen.endless = 0;
    turns(&scene);
    cr_assert_eq(scene.client.unread_count, 0);
    scene_fini(&scene);
}

Test(client, a_blocked_socket_gets_the_rest_later) {
    struct scene scene;
    static uint8_t big[8 << 20];
    static uint8_t heard[8 << 20];
    for (size_t i = 0; i < sizeof big; i++) {
        big[i] = (uint8_t)(i * 31 + i / 4096);
    }
    scene_open(&scene);
    client_send(&scene.client, &scene.client.peers[0], big, sizeof big / 2);
    client_send(&scene.client, &scene.client.peers[0], big + sizeof big / 2, sizeof big / 2);
    cr_assert(scene.client.peers[0].out.count > 0);
    size_t count = 0;
    for (int i = 0; i < 10000 && count < sizeof big; i++) {
        count += hear(&scene, heard + count, sizeof heard - count);
        client_turn(&scene.client, 1);
    }
    cr_assert_eq(count, sizeof big);
    cr_assert_arr_eq(heard, big, sizeof big);
    cr_assert_eq(scene.client.peers[0].out.data, NULL);
    scene_fini(&scene);
}

// Every bound of the program: unit in the name, reason beside it, and static assertions that they
// fit together (DESIGN.md law 4). A configuration may ask for less, never for more.
#pragma once
#include <assert.h>
#include <stdint.h>

enum {
    // Threads and rings
    WORKERS_MAX = 64, // one per core; the mailbox matrix is its square
    RINGS_MAX = 64,   // per worker (DESIGN.md section 3); 8 bits in user_data
    RING_SLOTS_MAX =
        65536, // direct descriptors of one ring: cancelation slows beyond (facts, finding 4)
    RING_SUBMISSIONS_MIN = 8, // a cancel and its close go in one submission
    RING_SLOTS_MIN = 128,  // engine.slots may not be set lower: the accept margin and some clients
    RING_ENTRIES_MIN = 16, // of engine.submissions, completions and buffers
    RING_SUBMISSIONS_MAX = 32768,
    RING_COMPLETIONS_MAX = 65536,
    RING_BUFFERS_MAX = 32768,
    RING_GROUPS_MAX = 15, // steps of growth of a ring's buffers, each doubling: 4 bits of user_data
    RING_MESSAGES_MAX = 256,     // gathered sends of one submission, 328 B each
    ENTER_ATTEMPTS_MAX = 64,     // a kernel short of memory is asked again so often in one call,
    ENTER_PAUSE_US = 50,         // this far apart: 3 ms
    ROOM_ATTEMPTS_MAX = 1000,    // such calls until a full submission queue counts as broken: 3 s
    RECEIVE_BUFFER_BYTES = 2048, // a burst fits; an idle connection owns none
    SENDS_BUSY_MAX = 64,  // fan-out sends per turn while other work is ready: 0.2 ms (decision 4)
    SENDS_IDLE_MAX = 256, // when nothing else is; never over 512
    SEND_PIECES_MAX = 16, // spans gathered into one send
    ZERO_COPY_BYTES_MIN = 10 << 10, // shorter sends are cheaper copied (kernel, msg_zerocopy.rst)
    EXPIRIES_MAX = 256,             // timers handled per turn: 256 x about 1 us
    COMPLETIONS_TURN_MAX = 1024,    // per ring and turn
    UNREAPED_TURNS_MAX = 8,      // until a send that ended is read all the same: a completion queue
                                 // of twice the default size
    FANOUT_BYTES_MAX = 64 << 10, // of the messages that one fan-out carries: what a socket takes
    LATERS_TURN_MAX =
        16, // fan-outs put off per turn because a subscriber's sends must go out first

    // Connections
    GATHER_BYTES_MAX = 256 << 10, // of one send, unless its first message is larger: a slow socket
                                  // is not given megabytes that a policy could still drop
    PING_GROUP = 64, // neighbours that are pinged together: some pages of each kernel object
    CONNECTIONS_MAX = 1 << 24, // per worker: 24 bits of index in a handle
    LISTENERS_MAX = 16,
    ROUTES_MAX = 1024,
    SETTINGS_MAX = 4096, // route settings alive at once: routes of the newest configurations with
                         // connections left

    // The table of client addresses: one entry of the process and one of its route per connection.
    // It lies in stripes, each with its lock. A stripe has room for its even share at the limit of
    // connections, a quarter more and the spare: nine standard deviations at 10,000 connections,
    // more above. One that is full refuses new addresses with 503 (addresses_refused).
    ADMISSION_STRIPES = 256, // two threads seldom want the same one
    ADMISSION_SPARE = 64,    // entries

    // Rates. A bucket holds what a second grants.
    HANDSHAKES_PER_ADDRESS_MAX = 1000000, // a microsecond apart: what its bucket can tell
    MESSAGES_PER_SECOND_MAX = 1000000,    // of one connection
    BYTES_PER_SECOND_MAX = 1 << 30,       // of one connection
    ADDRESS_BUCKETS = 65536,  // of handshakes, by hash of the address: of two that meet in one
                              // within a second, the later takes it over with a full bucket
    MEMORY_MARK_PERCENT = 75, // of worker_queue held: who is not in yet is refused from here on

    // Configuration
    CONFIG_BYTES_MAX = 1 << 20,
    CONFIG_DEPTH_MAX = 16,        // levels of maps and lists; libyaml turns quadratic in it
    CONFIG_MAP_KEYS_MAX = 1024,   // doubled keys are searched pair by pair
    CONFIG_TEXT_BYTES_MAX = 8192, // one scalar, after expansion
    CONFIG_TIME_MS_MIN = 10,      // a shorter deadline fires before a packet can come back
    QUEUE_BYTES_MIN = 1024,       // of backpressure.queue and .kernel: less closes at every burst
    QUEUE_BYTES_MAX = 1 << 30,
    WORKER_QUEUE_MIB_MIN = 1,
    WORKER_QUEUE_MIB_MAX = 256 << 10, // what an arena's handles reach
    HANDSHAKES_PER_SECOND_MAX = 10000000,
    CONFIG_ERRORS_MAX = 100,  // more is noise
    TOKEN_BYTES_MAX = 256,    // of the admin API
    TRUSTED_MAX = 256,        // address ranges, compared one by one at accept
    ROUTE_SEGMENTS_MAX = 32,  // of a route's path
    ROUTE_CAPTURES_MAX = 8,   // placeholders of a route's path
    ROUTE_TEMPLATES_MAX = 64, // of one list
    ROUTE_ORIGINS_MAX = 64,
    ROUTE_SUBPROTOCOLS_MAX = 16,

    // Log
    LOG_LINE_BYTES_MAX = 2048,     // one line with its newline; longer values are cut
    LOG_RING_BYTES_MIN = 8192,     // a few lines of the largest size
    LOG_EVENTS_MAX = 128,          // event names whose rate is counted apart, per thread
    LOG_LINES_PER_S = 20,          // of one event and thread; twice that at once
    LOG_DEBUG_LINES_PER_S = 10000, // who asks for debug wants every close, not a full disk

    // Names
    RESOLVE_PENDING_MAX = 64,     // questions whose answers were not yet taken
    RESOLVE_ADDRESSES_MAX = 8,    // of one name; of more, always the same ones are dropped
    RESOLVE_HOST_BYTES_MAX = 253, // RFC 1035

    // HTTP
    HEADER_BYTES_MAX = 65536, // limits.header may not be set higher
    HEADER_BYTES_MIN = 1024,
    HEADER_FIELDS_MAX = 100,
    CONNECTION_OPTIONS_MAX = 32, // of one head: each is compared with the name of every field
    TARGET_BYTES_MAX = 8192,
    METHOD_BYTES_MAX = 32,      // the longest registered method has 17 (IANA); beyond: 501
    CHUNK_LINE_BYTES_MAX = 256, // chunk size and its extensions
    TRAILER_BYTES_MAX = 1024,   // whole trailer section, which is ignored
    SUBPROTOCOLS_MAX = 64,      // offered by one client: they are compared in pairs
    FORWARDED_HOPS_MAX = 16,    // proxies in a row that are looked through for a client's address
    REPLY_BYTES_MAX = 4096,     // head of any reply that we write ourselves

    // Services
    UPSTREAMS_MAX = 64,           // of a configuration
    UPSTREAMS_ALIVE_MAX = 128,    // with those of older configurations that still have exchanges
    UPSTREAM_SERVERS_MAX = 16,    // of one upstream: compared one by one
    UPSTREAM_PLACES_MAX = 32,     // with those that left its names and still have connections
    UPSTREAM_NAMES_MAX = 1024,    // of a configuration: every server of every upstream
    HEALTH_PATH_BYTES_MAX = 255,  // of `health.path`: its length is a byte
    UPSTREAM_LINES_MAX = 1 << 20, // connections to services, of a worker
    UPSTREAM_LINES_SPARE = 1024,  // of a worker, beside one for each client: those that are idle
    UPSTREAM_QUEUE_MAX = 4096, // requests that wait for one upstream: they are searched one by one
    UPSTREAM_KEPT_MS = 30000,  // an idle connection to a service: less than servers keep theirs

    // WebSocket
    CONTROL_BYTES_MAX = 125, // RFC 6455 5.5
    FRAME_HEAD_BYTES_MAX = 14,
    MESSAGE_BYTES_MAX = 64 << 20, // limits.message may not be set higher
    FRAGMENTS_MAX = 65536,
    DEFLATE_BYTES_MAX = 1 << 20, // longer messages go plain: one call of 3 ms is enough in a turn
    TAKEOVER_SLOT_BYTES = 44 << 10, // one stream of zlib: 38.7 KB for 1.2.13, 2 KB more since 1.3.1
    TAKEOVER_BYTES_MAX =
        32 << 20,          // per worker, touched as streams open: 744 of them, then declined
    DEFLATE_LEVEL_MAX = 9, // libdeflate's higher ones cost 9 MB of tables and gain 2 %

    PONG_PENDING_MAX =
        16, // a burst of pings is answered ping by ping, a flood is not (RFC 6455 5.5.3)

    // TLS
    TLS_TEXT_BYTES_MAX = 16384, // plaintext of one record (RFC 8446 5.1)
    TLS_TEXT_BYTES_MIN = 512,   // what max_fragment_length may ask for (RFC 6066 section 4)
    TLS_KEY_RECORDS_MAX =
        1 << 24, // sealed with one key, then KeyUpdate; AES-GCM bears 2^24.5 (RFC 8446 5.5)
    TLS_OLD_RECORDS_MAX = 1 << 30, // TLS 1.2 cannot change keys: it ends, far below 2^32
    TLS_UPDATES_MAX = 8,           // KeyUpdates of a peer within so many records:
    TLS_UPDATE_WINDOW = 1000,      // each costs us 2.5 us and an answer
    TLS_EMPTY_RECORDS_MAX = 32,    // in a row, without a byte for the application
    TLS_SEAL_BYTES_MAX = 4 * TLS_TEXT_BYTES_MAX, // sealed for one send: a copy until it is out
    TLS_HANDSHAKES_MAX = 512,        // at once, per worker: about 70 KB each with Debian's wolfSSL
    TLS_MEMORY_BYTES_MAX = 48 << 20, // of the library, per worker: for as many, and its own tables
    UPSTREAM_TLS_LINES_MAX = 4096,   // connections to services by https, of a worker: each has
                                     // TLS_KEPT_BYTES_MAX at most
    TLS_KEPT_BYTES_MAX = 96 << 10,   // of a connection whose record layer is the library's own
    TLS_STEPS_TURN_MAX = 8,          // of handshakes, per turn: 0.2 to 2 ms each
    TLS_TABLES_MS = 5000,       // without a handshake, until the library's tables are given back
    TLS_EVICT_MS = 1000,        // a handshake this old makes room for a new one when all are taken
    TLS_CERTIFICATES_MAX = 64,  // of one listener; each is some 20 KB
    TLS_OWN_WAIT_MS = 30000,    // for a send that the connection knows nothing of
    TLS_FLIGHT_BYTES = 8 << 10, // sent at once while shaking hands; a chain of certificates may be
                                // longer

    // The PROXY protocol
    PROXY_V1_BYTES_MAX = 107,       // with CR LF (proxy-protocol.txt 2.1)
    PROXY_V2_HEAD_BYTES = 16,       // signature, version and length (2.2)
    PROXY_V2_BODY_BYTES_MAX = 2048, // addresses and extensions: receivers owe 536 bytes in all, a
                                    // TLS client's certificate name and the like may come on top

    // Who clients are
    AUTHS_MAX = 64,           // of a configuration
    AUTH_SOURCES_MAX = 8,     // places where one of them looks for a token, one after the other
    AUTH_NAME_BYTES_MAX = 64, // of a cookie or a query's parameter that holds one
    CLAIMS_MAX = 16,          // different ones in one route's templates: searched one by one
    FORWARD_FIELDS_MAX = 16,  // headers that an asking `auth` sends, and takes from an answer
    FORWARD_VALUES_BYTES_MAX = 4096,   // of the latter, together
    FORWARD_BODY_BYTES_MAX = 64 << 10, // of an answer, read and dropped; beyond, the line is closed
    FORWARD_ASKS_MAX = 16384,          // under way at once, per worker
    FORWARD_ENTRIES_MAX = 65536,       // answers remembered, per worker
    JWKS_BYTES_MAX = 64 << 10,   // a key set's file: 16 RSA keys with their certificates are 50 KiB
    JWT_BYTES_MAX = 8192,        // of a token: what fits in a request head by default
    JWT_KEYS_MAX = 16,           // in a set: a token without a key id is tried with each
    JWT_KEY_ID_BYTES_MAX = 128,  // compared with each key's; a thumbprint has 43 (RFC 7638)
    JWT_LEEWAY_S_MAX = 60,       // what the clocks of issuer and gateway may differ
    RSA_MODULUS_BYTES_MIN = 256, // 2048 bits (RFC 7518 3.3)
    RSA_MODULUS_BYTES_MAX = 512, // 4096 bits: four times the work of 2048
    RSA_EXPONENT_BYTES_MAX = 4,  // 65537 has three; larger ones only cost time

    // Channels
    CHANNEL_NAME_BYTES_MAX = 255,
    CHANNELS_PER_CONNECTION_MAX = 4096,
    PLACEHOLDER_BYTES_MAX = 128,

    // Time
    TIME_MS_MAX =
        20 * 24 * 3600 *
        1000, // deadlines are compared in 32 bits of milliseconds, which wrap after 49 days
    CLOSE_WAIT_MS = 5000,   // for the peer's Close after ours
    DISCARD_WAIT_MS = 1000, // after a violation: what the peer still sends is read and thrown away
    DISCARD_BYTES_MAX = 256 << 10,
    BODY_WAIT_MS = 60000,  // for a whole request body, besides the deadline for progress
    KEEP_ALIVE_MS = 75000, // idle HTTP connection between requests
    RETRY_AFTER_S_MIN = 1,
    RETRY_AFTER_S_MAX = 10,
};

static_assert(HEADER_BYTES_MAX >= TARGET_BYTES_MAX, "a head holds its target");
static_assert(SENDS_BUSY_MAX <= SENDS_IDLE_MAX && SENDS_IDLE_MAX <= 512, "decision 4");
static_assert(TLS_TEXT_BYTES_MIN <= TLS_TEXT_BYTES_MAX, "a fragment fits a record");
static_assert(TLS_HANDSHAKES_MAX < UINT16_MAX, "a handshake's number");
static_assert(TLS_UPDATE_WINDOW < UINT16_MAX && TLS_EMPTY_RECORDS_MAX < UINT8_MAX, "counters");
static_assert(UPSTREAM_NAMES_MAX == UPSTREAMS_MAX * UPSTREAM_SERVERS_MAX, "each has a name");
static_assert(UPSTREAM_PLACES_MAX <= 32, "a bit each of what an exchange has tried");
static_assert(UPSTREAM_LINES_MAX <= CONNECTIONS_MAX, "a number fits beside the tag");
static_assert(JWT_BYTES_MAX <= HEADER_BYTES_MAX, "a token comes in a head");
static_assert(AUTHS_MAX < UINT8_MAX && AUTH_SOURCES_MAX <= UINT8_MAX, "numbers of a byte");
static_assert(RECEIVE_BUFFER_BYTES < PROXY_V2_HEAD_BYTES + PROXY_V2_BODY_BYTES_MAX,
              "a header may come in more than one receive");
static_assert(MESSAGE_BYTES_MAX <= BYTES_PER_SECOND_MAX, "the largest message fits a bucket");
static_assert(TIME_MS_MAX < INT32_MAX, "wrapping comparison of 32-bit times");

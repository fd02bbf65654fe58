// What the machine is set to outside of sysctl, and what it has already had trouble with.
#include "gateway/doctor/checks.h"
#include "gateway/doctor/tree.h"
#include "gateway/process/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HASH_CHAIN = 8,
    CONNTRACK_FULL_PERCENT = 80,
    CERTIFICATE_DAYS = 14,
    DAY_S = 24 * 3600,
};

static enum verdict look_huge_pages(const struct examination *examination,
                                    struct finding *finding) {
    char text[128];
    if (!tree_text(examination->source.root, "sys/kernel/mm/transparent_hugepage/enabled", text,
                   sizeof text)) {
        return VERDICT_COUNT;
    }
    finding_now(finding, "%s", text);
    finding_wanted(finding, "madvise or never");
    return strstr(text, "[always]") != NULL ? VERDICT_WARN : VERDICT_PASS;
}

static enum verdict look_hash(const struct examination *examination, struct finding *finding) {
    uint64_t buckets = 0;
    if (!tree_number(examination->source.root, "proc/sys/net/ipv4/tcp_ehash_entries", 0,
                     &buckets)) {
        return VERDICT_COUNT; // before Linux 6.1, or another network namespace
    }
    uint64_t wanted = examination->config->admission.connections / HASH_CHAIN;
    finding_now(finding, "%" PRIu64 " buckets", buckets);
    finding_wanted(finding, "at least %" PRIu64, wanted);
    finding_fix(finding, "# kernel command line: thash_entries=%" PRIu64, wanted);
    return buckets >= wanted ? VERDICT_PASS : VERDICT_WARN;
}

static enum verdict look_conntrack(const struct examination *examination, struct finding *finding) {
    uint64_t most = 0;
    uint64_t used = 0;
    const char *root = examination->source.root;
    if (!tree_number(root, "proc/sys/net/netfilter/nf_conntrack_max", 0, &most) || most == 0 ||
        !tree_number(root, "proc/sys/net/netfilter/nf_conntrack_count", 0, &used)) {
        return VERDICT_COUNT;
    }
    finding_now(finding, "%" PRIu64 " of %" PRIu64, used, most);
    finding_wanted(finding, "below %d %%", CONNTRACK_FULL_PERCENT);
    finding_fix(finding, "sysctl -w net.netfilter.nf_conntrack_max=%" PRIu64 "   # or NOTRACK",
                most * 2);
    return used * 100 / most < CONNTRACK_FULL_PERCENT ? VERDICT_PASS : VERDICT_FAIL;
}

static enum verdict look_clock(const struct examination *examination, struct finding *finding) {
    static const char *const fast[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                       "arch_sys_counter"};
    char text[64];
    if (!tree_text(examination->source.root,
                   "sys/devices/system/clocksource/clocksource0/current_clocksource", text,
                   sizeof text)) {
        return VERDICT_COUNT;
    }
    enum verdict verdict = VERDICT_WARN;
    for (unsigned i = 0; i < sizeof fast / sizeof fast[0]; i++) {
        verdict = strcmp(text, fast[i]) == 0 ? VERDICT_PASS : verdict;
    }
    finding_now(finding, "%s", text);
    finding_wanted(finding, "one that is read without a system call");
    return verdict;
}

static enum verdict look_time(const struct examination *examination, struct finding *finding) {
    if (!examination->probe.is_asked) {
        return VERDICT_COUNT;
    }
    bool is_synchronized = examination->probe.is_clock_synchronized;
    finding_now(finding, is_synchronized ? "synchronized" : "not synchronized");
    finding_wanted(finding, "synchronized");
    return is_synchronized ? VERDICT_PASS : VERDICT_WARN;
}

// Ports that the kernel may give to an outgoing connection are ours only as long as nobody asks.
static bool is_reserved(const char *list, uint16_t port) {
    // Bounded by the text: every pass goes on behind a number, or ends.
    while (*list >= '0' && *list <= '9') {
        char *end = NULL;
        unsigned long first = strtoul(list, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;
        if (port >= first && port <= last) {
            return true;
        }
        list = *end == ',' ? end + 1 : end;
    }
    return false;
}

static enum verdict look_ports(const struct examination *examination, struct finding *finding) {
    const struct config *config = examination->config;
    const char *root = examination->source.root;
    uint64_t first = 0;
    uint64_t last = 0;
    char reserved[1024] = "";
    if (!tree_number(root, "proc/sys/net/ipv4/ip_local_port_range", 0, &first) ||
        !tree_number(root, "proc/sys/net/ipv4/ip_local_port_range", 1, &last)) {
        return VERDICT_COUNT;
    }
    (void)tree_text(root, "proc/sys/net/ipv4/ip_local_reserved_ports", reserved,
                    sizeof reserved); // without it nothing is reserved
    finding_now(finding, "outgoing ports %" PRIu64 " to %" PRIu64, first, last);
    finding_wanted(finding, "every listener outside, or reserved");
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_address *address = &config->listeners[i].address;
        uint16_t port = address->address.port;
        if (address->path.length == 0 && port >= first && port <= last &&
            !is_reserved(reserved, port)) {
            finding_now(finding, "port %u is within %" PRIu64 " to %" PRIu64, port, first, last);
            finding->setting = "net.ipv4.ip_local_reserved_ports";
            finding->source = "networking/ip-sysctl.rst";
            finding->is_sysctl = true;
            (void)snprintf(finding->value, sizeof finding->value, "%.40s%s%u", reserved,
                           reserved[0] == 0 ? "" : ",", port); // a longer list: by hand
            finding_fix(finding, "sysctl -w %s=%s", finding->setting, finding->value);
            return VERDICT_WARN;
        }
    }
    return VERDICT_PASS;
}

// Connections to one server of the upstream at most: its pools, and an upgrade for each client that
// its routes let in. 0: every one of its servers is a Unix socket, which needs no port.
static uint64_t outgoing_wanted(const struct examination *examination, uint32_t number) {
    const struct config *config = examination->config;
    const struct config_upstream *upstream = &config->upstreams[number];
    uint64_t upgrades = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < upstream->server_count; i++) {
        count += upstream->servers[i].address.path.length == 0;
    }
    for (uint32_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        bool has_upgrades = route->verb == CONFIG_VERB_TUNNEL ||
                            (route->verb == CONFIG_VERB_PROXY && route->tunnels_upgrades);
        if (has_upgrades && route->upstream == number) {
            uint32_t own = route->limits.connections;
            upgrades += own == 0 ? config->admission.connections : own;
        }
    }
    uint64_t clients = config->admission.connections;
    upgrades = upgrades < clients ? upgrades : clients;
    uint64_t pooled = (uint64_t)upstream->connections * examination->capacity.worker_count;
    return count == 0 ? 0 : pooled + upgrades / upstream->server_count;
}

// A connection to a service takes a port of this machine, and a server's address sees each only
// once.
static enum verdict look_outgoing(const struct examination *examination, struct finding *finding) {
    const struct config *config = examination->config;
    const char *root = examination->source.root;
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t wanted = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        uint64_t ports = outgoing_wanted(examination, i);
        most = ports > wanted ? i : most;
        wanted = ports > wanted ? ports : wanted;
    }
    if (wanted == 0 || !tree_number(root, "proc/sys/net/ipv4/ip_local_port_range", 0, &first) ||
        !tree_number(root, "proc/sys/net/ipv4/ip_local_port_range", 1, &last) || last < first) {
        return VERDICT_COUNT; // no services, or none by TCP
    }
    uint64_t ports = last - first + 1;
    const struct config_upstream *upstream = &config->upstreams[most];
    finding_now(finding, "%" PRIu64 " ports to each server", ports);
    finding_wanted(finding, "%" PRIu64 " to each of upstream `%.*s`", wanted,
                   (int)upstream->name.length, (const char *)upstream->name.data);
    finding_fix(finding,
                "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"   # or limits.connections, "
                "more servers, a Unix socket");
    return ports >= wanted ? VERDICT_PASS : VERDICT_WARN;
}

static const struct {
    const char *name, *remedy;
} troubles[TROUBLES_COUNT] = {
    {"ListenOverflows", "net.core.somaxconn"},
    {"TCPReqQFullDrop", "net.ipv4.tcp_max_syn_backlog"},
    {"TCPMemoryPressures", "net.ipv4.tcp_mem"},
    {"TCPAbortOnMemory", "net.ipv4.tcp_mem"},
    {"TCPTimeWaitOverflow", "net.ipv4.tcp_max_tw_buckets"},
    {"OfoPruned", "net.ipv4.tcp_rmem"},
};

void troubles_read(const char *root, uint64_t counts[TROUBLES_COUNT]) {
    for (uint32_t i = 0; i < TROUBLES_COUNT; i++) {
        if (!tree_netstat(root, "TcpExt:", troubles[i].name, &counts[i])) {
            counts[i] = UINT64_MAX;
        }
    }
}

static enum verdict look_troubles(const struct examination *examination, struct finding *finding) {
    uint64_t counts[TROUBLES_COUNT];
    bool is_watched = examination->watched_s > 0;
    enum verdict verdict = VERDICT_COUNT;
    size_t used = 0;
    troubles_read(examination->source.root, counts);
    for (uint32_t i = 0; i < TROUBLES_COUNT; i++) {
        uint64_t before = is_watched ? examination->troubles_before[i] : 0;
        if (counts[i] == UINT64_MAX || before == UINT64_MAX) {
            continue;
        }
        verdict = verdict == VERDICT_COUNT ? VERDICT_PASS : verdict;
        if (counts[i] > before) {
            verdict = VERDICT_WARN;
            int printed = snprintf(finding->now + used, sizeof finding->now - used,
                                   "%s%s %" PRIu64 " (%s)", used > 0 ? ", " : "", troubles[i].name,
                                   counts[i] - before, troubles[i].remedy);
            used += printed > 0 ? (size_t)printed : 0;
            used = used < sizeof finding->now ? used : sizeof finding->now - 1; // cut: shown only
        }
    }
    if (verdict == VERDICT_PASS) {
        finding_now(finding, "none");
    }
    if (is_watched) {
        finding_wanted(finding, "none in these %" PRIu32 " s", examination->watched_s);
    } else {
        finding_wanted(finding, "none since boot");
    }
    return verdict;
}

// How many TCP sockets of a kind there are, by their place in /proc/net/sockstat, against the
// setting of net.ipv4 that bounds them.
static enum verdict look_sockets_of(const struct examination *examination, struct finding *finding,
                                    uint32_t place, const char *setting) {
    char path[64];
    uint64_t used = 0;
    uint64_t most = 0;
    const char *root = examination->source.root;
    (void)snprintf(path, sizeof path, "proc/sys/net/ipv4/%s", setting); // it fits
    if (!tree_field(root, "proc/net/sockstat", "TCP:", place, &used) ||
        !tree_number(root, path, 0, &most)) {
        return VERDICT_COUNT;
    }
    finding_now(finding, "%" PRIu64 " of %" PRIu64, used, most);
    finding_wanted(finding, "below half");
    finding_fix(finding, "sysctl -w net.ipv4.%s=%" PRIu64, setting, most * 2);
    return used < most / 2 ? VERDICT_PASS : VERDICT_WARN;
}

static enum verdict look_orphans(const struct examination *examination, struct finding *finding) {
    return look_sockets_of(examination, finding, 3, "tcp_max_orphans");
}

static enum verdict look_time_wait(const struct examination *examination, struct finding *finding) {
    return look_sockets_of(examination, finding, 5, "tcp_max_tw_buckets");
}

// Told, not judged: TLS is done in the process. setsockopt(TCP_ULP) would say more, but loads the
// module where it may, and a doctor changes nothing.
static enum verdict look_kernel_tls(const struct examination *examination,
                                    struct finding *finding) {
    char text[128];
    if (!tree_text(examination->source.root, "proc/sys/net/ipv4/tcp_available_ulp", text,
                   sizeof text)) {
        return VERDICT_COUNT; // built without TCP_ULP, or a container
    }
    bool is_there = false;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        is_there = is_there || strcmp(word, "tls") == 0;
    }
    finding_now(finding, is_there ? "loaded" : "not loaded (modprobe tls)");
    finding_wanted(finding, "nothing: it is not used");
    return VERDICT_PASS;
}

static enum verdict look_entropy(const struct examination *examination, struct finding *finding) {
    uint64_t bits = 0;
    if (!tree_number(examination->source.root, "proc/sys/kernel/random/entropy_avail", 0, &bits)) {
        return VERDICT_COUNT;
    }
    finding_now(finding, "%" PRIu64 " bits", bits);
    finding_wanted(finding, "at least 128");
    return bits >= 128 ? VERDICT_PASS : VERDICT_WARN;
}

// Of an operator's socket on the file system only its folder is known before it exists.
static enum verdict look_admin(const struct examination *examination, struct finding *finding) {
    const struct config_admin *admin = &examination->config->admin;
    if (!admin->is_present) {
        finding_now(finding, "no admin listener");
        finding_wanted(finding, "one, for /ready and /metrics");
        finding_fix(finding, "# admin: {address: 127.0.0.1:9090}");
        return VERDICT_WARN;
    }
    bool has_token = admin->token.length > 0;
    finding_now(finding, "%.*s, %s", (int)admin->address.text.length,
                (const char *)admin->address.text.data, has_token ? "token" : "no token");
    finding_wanted(finding, "loopback, or a token");
    return VERDICT_PASS; // `check` refuses the rest
}

// The key was found to be the certificate's when the configuration was read.
static enum verdict look_certificates(const struct examination *examination,
                                      struct finding *finding) {
    const struct config *config = examination->config;
    int64_t earliest_s = INT64_MAX;
    for (uint32_t i = 0; i < config->listener_count; i++) {
        if (config->listeners[i].tls.is_present) {
            int64_t expiry_s = certificates_expiry_s(&config->listeners[i].tls);
            earliest_s = expiry_s < earliest_s ? expiry_s : earliest_s;
        }
    }
    if (earliest_s == INT64_MAX) {
        return VERDICT_COUNT; // nobody speaks TLS
    }
    int64_t left_s = earliest_s - examination->probe.now_s;
    finding_now(finding, left_s <= 0 ? "expired" : "%" PRId64 " days left", left_s / DAY_S);
    finding_wanted(finding, "at least %d days", CERTIFICATE_DAYS);
    if (left_s <= 0) {
        return VERDICT_FAIL;
    }
    return left_s < (int64_t)CERTIFICATE_DAYS * DAY_S ? VERDICT_WARN : VERDICT_PASS;
}

void system_examine(struct examination *examination) {
    static const struct check_row rows[] = {
        {"transparent huge pages",
         "`always` turns a touched page into 2 MiB wherever a library allocates",
         "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled", look_huge_pages},
        {"TCP hash table", "connections of a bucket are walked one by one: eight are fine", NULL,
         look_hash},
        {"connection tracking", "a full table drops new connections", NULL, look_conntrack},
        {"clock source", "the time is read in every turn",
         "echo tsc >/sys/devices/system/clocksource/clocksource0/current_clocksource", look_clock},
        {"time of day", "tokens expire by it, and logs are compared by it",
         "timedatectl set-ntp true", look_time},
        {"listener ports",
         "an outgoing connection in TIME_WAIT keeps a port from being listened on", NULL,
         look_ports},
        {"outgoing ports",
         "a tunnel is a connection to a service, and one server takes no more of them", NULL,
         look_outgoing},
        {"troubles", "the kernel has counted what a limit has cost",
         "holdfast doctor --watch 10   # what still grows: then the setting in brackets",
         look_troubles},
        {"orphans", "beyond the limit closed connections are reset", NULL, look_orphans},
        {"TIME_WAIT", "beyond the limit connections are forgotten at once, with what is under way",
         NULL, look_time_wait},
        {"kernel TLS", "Holdfast encrypts in its own process", NULL, look_kernel_tls},
        {"entropy", "masks, keys and ids come from it",
         "# a virtual machine: give it virtio-rng; else: apt-get install rng-tools5", look_entropy},
        {"certificates", "clients refuse one that has expired",
         "# put the new files in place, then: systemctl reload holdfast", look_certificates},
        {"admin API", "a load balancer asks it whether the gateway is ready", NULL, look_admin},
    };
    checks_run(examination, rows, sizeof rows / sizeof rows[0]);
}

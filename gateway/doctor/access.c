// Who may read and who is believed: files with secrets, sockets on the file system, address ranges.
#include "gateway/doctor/checks.h"
#include "gateway/doctor/tree.h"
#include "gateway/process/files.h"

#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MODE_OTHERS = S_IROTH | S_IWOTH,
    MODE_BITS = 07777,
    FILE_PATH_BYTES = 4096, // PATH_MAX
    MAPPED_BITS = 96,       // ::ffff:0:0/96, within which IPv4 is
    TRUST_BITS_4_MIN = 8,   // 10.0.0.0/8 and
    TRUST_BITS_6_MIN = 7,   // fc00::/7 are the widest private ranges
};

// A path as one more word of a command. What does not fit is left to the next run, and so is a name
// with a quote or with control characters, which could end the line that it is printed in.
static void word_add(char *text, size_t room, const char *path) {
    size_t used = strlen(text);
    bool is_plain = true;
    for (const char *at = path; *at != 0; at++) {
        unsigned char byte = (unsigned char)*at;
        is_plain = is_plain && byte >= ' ' && byte != 0x7f && byte != '\'';
    }
    int printed = is_plain ? snprintf(text + used, room - used, " '%s'", path) : 0;
    if (printed < 0 || (size_t)printed >= room - used) {
        text[used] = 0;
    }
}

struct secrets {
    const struct examination *examination;
    uint32_t count, open_count;
    char first[96]; // of those that are open, with its mode
    char words[FINDING_FIX_BYTES / 2];
};

static void secret_look(struct secrets *secrets, struct span path) {
    char full[FILE_PATH_BYTES];
    struct stat status;
    if (path.length == 0 ||
        !files_path(secrets->examination->config_path, path, full, sizeof full) ||
        stat(full, &status) != 0) {
        return; // none, or gone since the configuration was read
    }
    secrets->count++;
    if ((status.st_mode & MODE_OTHERS) == 0) {
        return;
    }
    if (secrets->open_count++ == 0) {
        (void)snprintf(secrets->first, sizeof secrets->first, "mode %04o of %.64s",
                       status.st_mode & MODE_BITS, full); // cut: shown only
    }
    word_add(secrets->words, sizeof secrets->words, full);
}

// Whether the JSON text has a member of that name. As text: nobody escapes these names.
static bool has_member(struct span text, const char *quoted) {
    uint32_t length = (uint32_t)strlen(quoted);
    for (uint32_t i = 0; i + length <= text.length; i++) {
        if (memcmp(text.data + i, quoted, length) != 0) {
            continue;
        }
        uint32_t next = i + length;
        while (next < text.length && memchr(" \t\r\n", text.data[next], 4) != NULL) {
            next++;
        }
        if (next < text.length && text.data[next] == ':') {
            return true;
        }
    }
    return false;
}

// A set of public keys alone is for everybody; `k` is a shared secret (RFC 7518 s6.4.1), and `d`
// the private part of an RSA, elliptic or Edwards key (s6.2.2, s6.3.2; RFC 8037 s2).
static bool has_secret(struct span jwks) {
    return has_member(jwks, "\"k\"") || has_member(jwks, "\"d\"");
}

static enum verdict look_secrets(const struct examination *examination, struct finding *finding) {
    const struct config *config = examination->config;
    struct secrets secrets = {.examination = examination};
    secret_look(&secrets, config->admin.token_path);
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_tls *tls = &config->listeners[i].tls;
        secret_look(&secrets, tls->first.key_path);
        for (uint32_t k = 0; k < tls->more_count; k++) {
            secret_look(&secrets, tls->more[k].key_path);
        }
    }
    for (uint32_t i = 0; i < config->upstream_count; i++) {
        secret_look(&secrets, config->upstreams[i].tls.key_path);
    }
    for (uint32_t i = 0; i < config->auth_count; i++) {
        if (has_secret(config->auths[i].jwks)) {
            secret_look(&secrets, config->auths[i].jwks_path);
        }
    }
    finding_wanted(finding, "closed to others");
    if (secrets.open_count == 0) {
        finding_now(finding, "%" PRIu32 " closed to others", secrets.count);
        return secrets.count == 0 ? VERDICT_COUNT : VERDICT_PASS;
    }
    finding_now(finding, "%" PRIu32 " of %" PRIu32 " open: %s", secrets.open_count, secrets.count,
                secrets.first);
    finding_fix(finding, "chmod o=%s   # Kubernetes: defaultMode: 0440",
                secrets.words[0] == 0 ? " FILE" : secrets.words);
    return VERDICT_WARN;
}

// Whether systemd makes the folder when the service starts. Of a list only its first is known.
static bool is_made(const char *root, const char *folder) {
    char name[64];
    char made[80];
    if (!unit_value(root, "RuntimeDirectory", name, sizeof name) || name[0] == 0) {
        return false;
    }
    name[strcspn(name, " ")] = 0;
    (void)snprintf(made, sizeof made, "/run/%s", name); // it fits
    return strcmp(made, folder) == 0;
}

// A socket's file has mode 0660 when it is made; who may write into its folder can put another one
// into its place. False: the finding says what is wrong.
static bool socket_look(const struct examination *examination, struct span path,
                        struct finding *finding) {
    const char *root = examination->source.root;
    char full[TREE_PATH_BYTES];
    struct stat status;
    int printed =
        snprintf(full, sizeof full, "%s%.*s", root, (int)path.length, (const char *)path.data);
    char *name = full + strlen(root); // without the root: as the configuration has it
    if (printed < 0 || (size_t)printed >= sizeof full || name[0] != '/') {
        return true; // relative to a folder that the service is started in
    }
    char words[FINDING_FIX_BYTES / 2] = "";
    if (stat(full, &status) == 0 && (status.st_mode & MODE_OTHERS) != 0) {
        word_add(words, sizeof words, name);
        finding_now(finding, "mode %04o of %.100s", status.st_mode & MODE_BITS, name);
        finding_fix(finding, "chmod 0660%s", words);
        return false;
    }
    char *slash = strrchr(name, '/');
    *slash = 0;
    word_add(words, sizeof words, slash == name ? "/" : name);
    if (stat(slash == name ? "/" : full, &status) != 0) {
        // A recorded tree has only what was recorded.
        finding_now(finding, "no folder %.100s", name);
        finding_fix(finding, "install -d -m 0750%s   # systemd: RuntimeDirectory=", words);
        return root[0] != 0 || is_made(root, name);
    }
    finding_now(finding, "mode %04o of %.100s", status.st_mode & MODE_BITS, name);
    finding_fix(finding, "chmod o-w%s", words);
    return (status.st_mode & S_IWOTH) == 0 || (status.st_mode & S_ISVTX) != 0;
}

static enum verdict look_sockets(const struct examination *examination, struct finding *finding) {
    const struct config *config = examination->config;
    uint32_t count = 0;
    finding_wanted(finding, "sockets and their folders closed to others");
    if (config->admin.is_present && config->admin.address.path.length > 0) {
        count++;
        if (!socket_look(examination, config->admin.address.path, finding)) {
            return VERDICT_WARN;
        }
    }
    for (uint32_t i = 0; i < config->listener_count; i++) {
        struct span path = config->listeners[i].address.path;
        count += path.length > 0;
        if (path.length > 0 && !socket_look(examination, path, finding)) {
            return VERDICT_WARN;
        }
    }
    finding_now(finding, "%" PRIu32 " closed to others", count);
    return count == 0 ? VERDICT_COUNT : VERDICT_PASS;
}

// Whether the range is wider than any private network is.
static bool is_wide(const struct address_range *range) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (range->prefix_bits >= MAPPED_BITS && memcmp(range->ip, mapped, sizeof mapped) == 0) {
        return range->prefix_bits < MAPPED_BITS + TRUST_BITS_4_MIN;
    }
    return range->prefix_bits < TRUST_BITS_6_MIN;
}

static bool has_wide(const struct address_range *ranges, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (is_wide(&ranges[i])) {
            return true;
        }
    }
    return false;
}

// That a list is not empty where a PROXY header is asked for was found when the configuration was
// read.
static enum verdict look_trusted(const struct examination *examination, struct finding *finding) {
    const struct config *config = examination->config;
    uint32_t count = config->trusted_count;
    finding_wanted(finding, "the load balancers' own networks, none wider than /%d (IPv6: /%d)",
                   TRUST_BITS_4_MIN, TRUST_BITS_6_MIN);
    for (uint32_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        count += listener->proxy.trusted_count;
        if (has_wide(listener->proxy.trusted, listener->proxy.trusted_count)) {
            finding_now(finding, "`proxy_protocol.trusted` of %.*s is wider",
                        (int)listener->address.text.length,
                        (const char *)listener->address.text.data);
            finding_fix(finding, "# proxy_protocol: {trusted: [10.0.0.0/8]}");
            return VERDICT_WARN;
        }
    }
    if (has_wide(config->trusted, config->trusted_count)) {
        finding_now(finding, "`trusted` is wider");
        finding_fix(finding, "# trusted: [10.0.0.0/8]");
        return VERDICT_WARN;
    }
    finding_now(finding, "%" PRIu32 " range%s", count, count == 1 ? "" : "s");
    return count == 0 ? VERDICT_COUNT : VERDICT_PASS;
}

// Of a running process alone: this shell's standard error is not where a service writes.
static enum verdict look_log(const struct examination *examination, struct finding *finding) {
    static const char gone[] = " (deleted)"; // as the kernel names a file without a name
    const struct machine_source *source = &examination->source;
    char path[64];
    char text[120];
    (void)snprintf(path, sizeof path, "proc/%.20s/fd", source->process); // it fits
    bool is_told = strcmp(source->process, "self") != 0 && tree_exists(source->root, path);
    (void)snprintf(path, sizeof path, "proc/%.20s/fd/2", source->process);
    int error = is_told ? tree_link(source->root, path, text, sizeof text) : -EPERM;
    if (error != 0 && error != -ENOENT) {
        return VERDICT_COUNT; // another user's process
    }
    size_t length = strlen(text);
    bool is_gone = length >= sizeof gone && strcmp(text + length - strlen(gone), gone) == 0;
    bool is_lost = error != 0 || is_gone || strcmp(text, "/dev/null") == 0;
    finding_now(finding, "%s", error != 0 ? "standard error is closed" : text);
    finding_wanted(finding, "the journal, a pipe, or a file that has a name");
    return is_lost ? VERDICT_WARN : VERDICT_PASS;
}

void access_examine(struct examination *examination) {
    static const struct check_row rows[] = {
        {"secret files", "who can read a token or a key is believed, or decrypts what it protects",
         NULL, look_secrets},
        {"socket files", "who can write into the folder can put a socket in its place", NULL,
         look_sockets},
        {"trusted addresses", "whoever is trusted says who a client is, and is not limited", NULL,
         look_trusted},
        {"log", "it goes to standard error, and is lost where nobody can read it",
         "systemctl restart holdfast   # logrotate: copytruncate, or StandardError=journal",
         look_log},
    };
    checks_run(examination, rows, sizeof rows / sizeof rows[0]);
}

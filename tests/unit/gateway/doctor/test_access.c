// Files with secrets, sockets on the file system, trusted ranges: open and closed.
#include "tests/unit/gateway/doctor/doctor_test.h"

struct access_test {
    struct doctor_test doctor;
    char config_path[128]; // etc/holdfast.yaml of the tree: names of files start from its folder
    uint8_t *lent;
};

static struct access_test *access_open(void) {
    struct access_test *test = calloc(1, sizeof *test);
    cr_assert_not_null(test);
    doctor_open(&test->doctor, "debian");
    (void)snprintf(test->config_path, sizeof test->config_path, "%s/etc/holdfast.yaml",
                   test->doctor.root); // it fits
    test->doctor.examination.config_path = test->config_path;
    return test;
}

static void access_close(struct access_test *test) {
    doctor_close(&test->doctor);
    free(test->lent);
    free(test);
}

static void file_make(const struct access_test *test, const char *path, const char *text,
                      mode_t mode) {
    char full[512];
    doctor_file_write(test->doctor.root, path, text, strlen(text));
    (void)snprintf(full, sizeof full, "%s/%s", test->doctor.root, path); // it fits
    cr_assert_eq(chmod(full, mode), 0, "%s", full);
}

static int file_load(void *context, const char *path, struct span *bytes) {
    struct access_test *test = context;
    char full[512];
    uint32_t length = 0;
    free(test->lent);
    test->lent = NULL;
    cr_assert(files_path(test->config_path, span_text(path), full, sizeof full));
    int error = file_read(full, &test->lent, &length);
    *bytes = span_make(test->lent, length);
    return error;
}

// Not judged by whoever uses the files, so any text will do for a key.
static void access_run(struct access_test *test, const char *text) {
    struct config_source source = {
        .text = span_text(text), .file = "test", .context = test, .load = file_load};
    struct examination *examination = &test->doctor.examination;
    config_close(&examination->config);
    examination->config = config_open(&source, &test->doctor.errors);
    cr_assert_not_null(examination->config, "%s", test->doctor.errors.lines[0]);
    examination_run(examination);
}

// That the command behind a finding has `text`.
static void fix_expect(const struct access_test *test, const char *name, const char *text) {
    const struct finding *finding = doctor_find(&test->doctor, name);
    cr_assert_not_null(finding, "%s", name);
    cr_expect_not_null(strstr(finding->fix, text), "%s: %s", name, finding->fix);
}

#define LISTENER "listeners: [{address: 127.0.0.1:8080}]\n"
#define ROUTE "routes: [{path: /echo, echo: {}}]\n"
#define TOKEN LISTENER "admin: {address: 127.0.0.1:9090, token_file: admin.token}\n" ROUTE

Test(doctor_access, token_file) {
    static const struct {
        mode_t mode;
        enum verdict verdict;
        const char *now;
    } rows[] = {
        {0600, VERDICT_PASS, "1 closed to others"},
        {0640, VERDICT_PASS, "1 closed to others"},
        {0644, VERDICT_WARN, "1 of 1 open: mode 0644 of /tmp/holdfast-doctor-"},
        {0602, VERDICT_WARN, "1 of 1 open: mode 0602"},
    };
    struct access_test *test = access_open();
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        file_make(test, "etc/admin.token", "secret\n", rows[i].mode);
        access_run(test, TOKEN);
        doctor_expect(&test->doctor, "secret files", rows[i].verdict, rows[i].now);
        if (rows[i].verdict == VERDICT_WARN) {
            char command[160];
            (void)snprintf(command, sizeof command, "chmod o= '%s/etc/admin.token'",
                           test->doctor.root); // it fits
            fix_expect(test, "secret files", command);
        }
    }
    access_close(test);
}

// A name that the line of a script cannot hold is not in the command.
Test(doctor_access, a_name_of_two_lines) {
    struct access_test *test = access_open();
    file_make(test, "etc/admin\n.token", "secret\n", 0644);
    access_run(test,
               LISTENER "admin: {address: 127.0.0.1:9090, token_file: \"admin\\n.token\"}\n" ROUTE);
    doctor_expect(&test->doctor, "secret files", VERDICT_WARN, "1 of 1 open");
    fix_expect(test, "secret files", "chmod o= FILE");
    cr_expect_null(strchr(doctor_find(&test->doctor, "secret files")->fix, '\n'));
    access_close(test);
}

// Of a listener's first certificate, of another one of it, and of an upstream: all in one command.
Test(doctor_access, private_keys) {
    static const char *const keys[] = {"first.key", "more.key", "service.key"};
    static const char text[] =
        "listeners:\n"
        "  - address: 127.0.0.1:8443\n"
        "    tls: {certificate: a.pem, key: first.key,\n"
        "      certificates: [{certificate: a.pem, key: more.key}]}\n"
        "upstreams: {web: {servers: [\"https://127.0.0.1:1\"], ca: a.pem, certificate: a.pem,\n"
        "  key: service.key}}\n" ROUTE;
    struct access_test *test = access_open();
    for (unsigned open = 0; open < 8; open++) { // a bit for each key that others may read
        char now[32];
        file_make(test, "etc/a.pem", "a certificate", 0644); // which is for everybody
        for (unsigned i = 0; i < 3; i++) {
            char path[32];
            (void)snprintf(path, sizeof path, "etc/%s", keys[i]); // it fits
            file_make(test, path, "a key", (open >> i & 1) != 0 ? 0644 : 0600);
        }
        access_run(test, text);
        (void)snprintf(now, sizeof now, open == 0 ? "3 closed" : "%d of 3 open",
                       __builtin_popcount(open)); // it fits
        doctor_expect(&test->doctor, "secret files", open == 0 ? VERDICT_PASS : VERDICT_WARN, now);
        for (unsigned i = 0; i < 3 && open != 0; i++) {
            const char *fix = doctor_find(&test->doctor, "secret files")->fix;
            cr_expect_eq(strstr(fix, keys[i]) != NULL, (open >> i & 1) != 0, "%s", fix);
        }
    }
    access_close(test);
}

// A set of public keys is for everybody. One with shared secrets is not, nor is one into which
// somebody exported the private part as well.
Test(doctor_access, key_sets) {
    static const struct {
        const char *text;
        bool is_secret;
    } rows[] = {
        {"{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}", true},
        {"{\"keys\": [{\"kty\": \"EC\", \"d\" \n: \"c2VjcmV0\"}]}", true},
        {"{\"keys\": [{\"kty\": \"EC\", \"kid\": \"d\", \"alg\":\"k\", \"x\": \"AA\"}]}", false},
        {"\"k\"", false},
        {"", false},
    };
    static const char text[] =
        LISTENER "auth: {users: {jwt: {algorithms: [HS256], jwks_file: keys.json}}}\n" ROUTE;
    struct access_test *test = access_open();
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned open = 0; open < 2; open++) {
            file_make(test, "etc/keys.json", rows[i].text, open != 0 ? 0644 : 0640);
            access_run(test, text);
            if (rows[i].is_secret) {
                doctor_expect(&test->doctor, "secret files",
                              open != 0 ? VERDICT_WARN : VERDICT_PASS,
                              open != 0 ? "keys.json" : "1 closed to others");
            } else {
                cr_expect_null(doctor_find(&test->doctor, "secret files"), "%u", i);
            }
        }
    }
    access_close(test);
}

// The folder of a socket, the socket itself, and a folder that is not there.
Test(doctor_access, sockets) {
    static const struct {
        mode_t folder, socket; // 0: there is none
        enum verdict verdict;
        const char *now, *fix;
    } rows[] = {
        {0755, 0, VERDICT_PASS, "1 closed to others", NULL},
        {0755, 0660, VERDICT_PASS, "1 closed to others", NULL},
        {0755, 0666, VERDICT_WARN, "mode 0666 of /", "chmod 0660 '/"},
        {01777, 0660, VERDICT_PASS, "1 closed to others", NULL},
        {0777, 0660, VERDICT_WARN, "mode 0777 of /", "chmod o-w '/"},
        {0, 0, VERDICT_WARN, "no folder /", "install -d -m 0750 '/"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0] * 2; i++) {
        unsigned row = i / 2;
        struct access_test *test = access_open();
        char text[256];
        char path[128];
        (void)snprintf(path, sizeof path, "%s/run", test->doctor.root); // they fit
        (void)snprintf(text, sizeof text,
                       i % 2 == 0 ? "listeners: [{address: 127.0.0.1:8080}]\n"
                                    "admin: {address: \"unix:%s/a.sock\"}\n" ROUTE
                                  : "listeners: [{address: \"unix:%s/a.sock\"}]\n" ROUTE,
                       path);
        if (rows[row].folder != 0) {
            cr_assert_eq(mkdir(path, 0700), 0);
            cr_assert_eq(chmod(path, rows[row].folder), 0);
        }
        if (rows[row].socket != 0) {
            file_make(test, "run/a.sock", "", rows[row].socket);
        }
        test->doctor.examination.source.root = ""; // this machine's file system, without a prefix
        access_run(test, text);
        doctor_expect(&test->doctor, "socket files", rows[row].verdict, rows[row].now);
        if (rows[row].fix != NULL) {
            fix_expect(test, "socket files", rows[row].fix);
        }
        access_close(test);
    }
}

// systemd makes the folder that the unit asks for. A recorded tree has no folders of sockets.
Test(doctor_access, sockets_of_a_service) {
    struct access_test *test = access_open();
    access_run(test, LISTENER "admin: {address: \"unix:/run/holdfast/a.sock\"}\n" ROUTE);
    doctor_expect(&test->doctor, "socket files", VERDICT_PASS, "1 closed to others");
    access_run(test, LISTENER "admin: {address: 127.0.0.1:9090}\n" ROUTE);
    cr_expect_null(doctor_find(&test->doctor, "socket files"));
    cr_expect_null(doctor_find(&test->doctor, "secret files"));
    access_close(test);
}

Test(doctor_access, trusted_ranges) {
    static const struct {
        const char *range;
        enum verdict verdict;
    } rows[] = {
        {"10.0.0.0/8", VERDICT_PASS},        {"10.0.0.0/7", VERDICT_WARN},
        {"0.0.0.0/0", VERDICT_WARN},         {"\"fc00::/7\"", VERDICT_PASS},
        {"\"fc00::/6\"", VERDICT_WARN},      {"\"::/0\"", VERDICT_WARN},
        {"\"2001:db8::/96\"", VERDICT_PASS}, {"192.0.2.7", VERDICT_PASS},
    };
    struct access_test *test = access_open();
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0] * 2; i++) {
        const char *range = rows[i / 2].range;
        char text[256];
        if (i % 2 == 0) {
            (void)snprintf(text, sizeof text, LISTENER "trusted: [192.0.2.1, %s]\n" ROUTE, range);
        } else {
            (void)snprintf(text, sizeof text,
                           "listeners:\n  - address: 127.0.0.1:8080\n"
                           "    proxy_protocol: {trusted: [192.0.2.1, %s]}\n" ROUTE,
                           range);
        }
        access_run(test, text);
        bool is_fine = rows[i / 2].verdict == VERDICT_PASS;
        doctor_expect(&test->doctor, "trusted addresses", rows[i / 2].verdict,
                      is_fine      ? "2 ranges"
                      : i % 2 == 0 ? "`trusted` is wider"
                                   : "`proxy_protocol.trusted` of 127.0.0.1:8080 is wider");
        fix_expect(test, "trusted addresses", is_fine ? "" : "trusted: [10.0.0.0/8]");
    }
    access_close(test);
}

// Where a running process' standard error goes.
Test(doctor_access, log) {
    static const struct {
        const char *target; // NULL: it is closed
        const char *now;
        enum verdict verdict;
    } rows[] = {
        {NULL, "standard error is closed", VERDICT_WARN},
        {"socket:[123]", "socket:[123]", VERDICT_PASS},
        {"/var/log/holdfast.log", "/var/log/holdfast.log", VERDICT_PASS},
        {"/var/log/holdfast.log (deleted)", "(deleted)", VERDICT_WARN},
        {"/dev/null", "/dev/null", VERDICT_WARN},
    };
    struct access_test *test = access_open();
    char path[128];
    test->doctor.examination.source.process = "4711";
    access_run(test, LISTENER ROUTE);
    cr_expect_null(doctor_find(&test->doctor, "log"), "nothing is known of that process");
    file_make(test, "proc/4711/fd/1", "", 0600);
    (void)snprintf(path, sizeof path, "%s/proc/4711/fd/2", test->doctor.root); // it fits
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert(rows[i].target == NULL || symlink(rows[i].target, path) == 0);
        access_run(test, LISTENER ROUTE);
        doctor_expect(&test->doctor, "log", rows[i].verdict, rows[i].now);
        fix_expect(test, "log", "systemctl restart holdfast");
        cr_assert_eq(unlink(path), rows[i].target == NULL ? -1 : 0);
    }
    access_close(test);
}

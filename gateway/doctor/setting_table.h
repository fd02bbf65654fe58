// The one table of kernel settings: the doctor compares with it, `doctor --fix-plan` writes it, and
// tools/tuning/sysctl.conf is what that prints for a million connections (tools/house/docs_check
// holds it to that).
// SETTING(name, field, rule, wanted, otherwise, why, source)
//   field      which number of the setting is compared, from 0
//   rule       AT_LEAST, AT_MOST or EXACTLY the wanted value
//   wanted     a function of settings.c: from the configuration and the machine
//   otherwise  the verdict when it is not so
//   source     below Documentation/ of the kernel, or the measurement
SETTING("fs.nr_open", 0, AT_LEAST, wanted_nr_open, VERDICT_FAIL,
        "LimitNOFILE cannot be set above it", "admin-guide/sysctl/fs.rst")
SETTING("fs.file-max", 0, AT_LEAST, wanted_file_max, VERDICT_FAIL,
        "every connection is a file of the system, with or without a descriptor",
        "admin-guide/sysctl/fs.rst")
SETTING("net.core.somaxconn", 0, AT_LEAST, wanted_backlog, VERDICT_WARN,
        "clients that come while a worker is busy wait in this queue: a second's handshakes fit",
        "networking/ip-sysctl.rst")
SETTING("net.ipv4.tcp_max_syn_backlog", 0, AT_LEAST, wanted_backlog, VERDICT_WARN,
        "half-open connections of a listener: beyond it SYNs are answered with cookies, or dropped",
        "networking/ip-sysctl.rst")
SETTING(
    "net.ipv4.tcp_syncookies", 0, EXACTLY, wanted_one, VERDICT_WARN,
    "a SYN flood must not shut out clients; with queues large enough it is never used otherwise",
    "networking/ip-sysctl.rst")
SETTING("net.ipv4.tcp_synack_retries", 0, AT_MOST, wanted_three, VERDICT_WARN,
        "5 keep a half-open connection for 63 s, 3 for 15 s", "networking/ip-sysctl.rst")
SETTING(
    "net.ipv4.tcp_mem", 2, AT_LEAST, wanted_tcp_pages, VERDICT_WARN,
    "pages of queued data of all sockets: a broadcast needs one for each connection, and beyond "
    "the limit sockets are reset",
    "networking/ip-sysctl.rst")
SETTING("net.ipv4.tcp_rmem", 2, AT_MOST, wanted_receive_bytes, VERDICT_WARN,
        "what a client may send while it is not read stays in the kernel: up to this for each",
        "networking/ip-sysctl.rst")
SETTING("net.core.wmem_max", 0, AT_LEAST, wanted_send_bytes, VERDICT_WARN,
        "backpressure.kernel is asked for with SO_SNDBUF, which is cut to this",
        "admin-guide/sysctl/net.rst")
SETTING("net.ipv4.tcp_max_orphans", 0, AT_LEAST, wanted_closing, VERDICT_WARN,
        "sockets that we closed and whose FIN is not acknowledged: beyond it they are reset, as a "
        "drain closes everybody",
        "networking/ip-sysctl.rst")
SETTING("net.ipv4.tcp_max_tw_buckets", 0, AT_LEAST, wanted_closing, VERDICT_WARN,
        "the server closes first, so it keeps each connection in TIME_WAIT for 60 s",
        "networking/ip-sysctl.rst")
SETTING("net.ipv4.tcp_fin_timeout", 0, AT_MOST, wanted_thirty, VERDICT_WARN,
        "how long a closed connection is kept whose client never closes its side",
        "networking/ip-sysctl.rst")
SETTING("net.ipv4.tcp_slow_start_after_idle", 0, EXACTLY, wanted_zero, VERDICT_WARN,
        "a connection that was quiet would send its next burst slowly", "networking/ip-sysctl.rst")
SETTING(
    "net.ipv4.tcp_migrate_req", 0, EXACTLY, wanted_one, VERDICT_WARN,
    "a listener that closes hands its waiting clients to the others of its port; otherwise they "
    "are reset (396 of 1,000 measured)",
    "networking/ip-sysctl.rst")
SETTING("net.core.netdev_max_backlog", 0, AT_LEAST, wanted_packets, VERDICT_WARN,
        "packets that wait for a CPU: a broadcast brings as many acknowledgements back at once",
        "admin-guide/sysctl/net.rst")
SETTING("net.netfilter.nf_conntrack_max", 0, AT_LEAST, wanted_tracked, VERDICT_FAIL,
        "a full table drops new connections; better: exempt the listeners (NOTRACK)",
        "networking/nf_conntrack-sysctl.rst")
SETTING("vm.max_map_count", 0, AT_LEAST, wanted_maps, VERDICT_WARN,
        "each ring and pool is a mapping", "admin-guide/sysctl/vm.rst")
SETTING("vm.swappiness", 0, AT_MOST, wanted_ten, VERDICT_WARN,
        "memory of idle connections is swapped out first, and every ping brings it back",
        "admin-guide/sysctl/vm.rst")

"""Turns bench/compare's single results into a Markdown report with SVG plots (gnuplot)."""

import datetime
import os
import platform
import shutil
import statistics
import subprocess

RATES = ("messages_per_server_cpu_second", "deliveries_per_server_cpu_second", "cycles_per_server_cpu_second")
PERCENTILES = (("p50", "50 %"), ("p99", "99 %"), ("p999", "99.9 %"), ("max", "all"))
COLOURS = {"holdfast": "#0a6b5e", "bun": "#d9822b", "ws": "#8a9a3b", "nchan": "#3b6ea5", "nats": "#7a5ca5",
           "pushpin": "#a54b5c", "floor epoll": "#999999", "floor uring": "#bbbbbb"}


def rate_of(result):
    return next((result[key] for key in RATES if key in result), None)


def level_of(results, names):
    """The distance of the cores at which most servers have kept runs, and then most runs."""
    def score(level):
        kept = [r for r in results if r["kept"] and r["level"] == level]
        return len({r["peer"] for r in kept}), len(kept)
    return max(("near", "far"), key=score) if names else "near"


def spread(values):
    """(median, least, greatest, how many), or None."""
    return (statistics.median(values), min(values), max(values), len(values)) if values else None


class Table:
    """All runs of one load, by server."""

    def __init__(self, text, results, names):
        self.text = text
        self.kind = results[0]["kind"]
        self.results = results
        self.level = "any" if self.kind == "idle" else level_of(results, names)
        self.names = [name for name in names if any(r["peer"] == name for r in results)]

    def runs(self, name):
        """Kept runs at the level of the table; where there is none, all that were verified, and False."""
        clean = [r for r in self.results if r["peer"] == name and r["kept"] and self.level in ("any", r["level"])]
        return (clean, True) if clean else ([r for r in self.results if r["peer"] == name and r["ok"]], False)

    def cell(self, name, figure):
        runs, _ = self.runs(name)
        return spread([value for value in (figure(r) for r in runs) if value is not None])

    def mark(self, name):
        return "" if self.runs(name)[1] else " *"


def number(value):
    if value >= 100000:
        return f"{value / 1000:,.0f} k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def shown(cell):
    return "-" if cell is None else f"{number(cell[0])} ({number(cell[1])} to {number(cell[2])}, {cell[3]})"


def rate_lines(table):
    ours = table.cell("holdfast", rate_of)
    lines = ["", f"**{table.text}**: per second of server CPU, cores {table.level}", "",
             "| server | median (least to greatest, runs) | to Holdfast |", "|---|---|---|"]
    order = sorted(table.names, key=lambda name: -(table.cell(name, rate_of) or (0,))[0])
    for name in order:
        cell = table.cell(name, rate_of)
        ratio = f"{cell[0] / ours[0]:.2f}" if cell and ours else "-"
        lines.append(f"| {name}{table.mark(name)} | {shown(cell)} | {ratio} |")
    return lines


def latency_lines(table):
    lines = ["", f"**{table.text}**: latency in us from when a message was due, cores {table.level}", "",
             "| server | " + " | ".join(text for _, text in PERCENTILES) + " | server CPU, ns each |",
             "|---|" + "---|" * (len(PERCENTILES) + 1)]
    for name in table.names:
        cells = [table.cell(name, lambda r, key=key: r.get(f"latency_{key}_us")) for key, _ in PERCENTILES]
        cells.append(table.cell(name, lambda r: r.get("server_cpu_ns_per_message")))
        lines.append(f"| {name}{table.mark(name)} | " + " | ".join(shown(cell) for cell in cells) + " |")
    return lines


def idle_lines(table):
    lines = ["", f"**{table.text}**: bytes each", "",
             "| server | user memory (growth of PSS) | kernel slabs, both ends |", "|---|---|---|"]
    for name in table.names:
        user = table.cell(name, lambda r: r.get("user_bytes_per_connection_opened"))
        kernel = table.cell(name, lambda r: r.get("slab_bytes_per_pair"))
        lines.append(f"| {name} | {shown(user)} | {shown(kernel)} |")
    return lines


def plot(folder, name, title, script):
    """Runs gnuplot on a script; without gnuplot there is no plot, and the report says so."""
    head = (f"set terminal svg size 860,420 font 'sans-serif,12' background 'white'\nset output '{folder}/{name}.svg'\n"
            f"set title '{title}'\nset grid ytics lc rgb '#dddddd'\nset border 3\nset tics nomirror\n")
    done = subprocess.run(["gnuplot"], input=head + script, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"compare: gnuplot failed on {name}\n{done.stderr}")
    return f"\n![{title}]({name}.svg)\n"


def bars(folder, name, title, tables, figure):
    """One group of bars for each load, one colour for each server, whiskers from least to greatest."""
    names = [n for n in COLOURS if any(n in table.names for table in tables)]
    data, plots = [], []
    for at, server in enumerate(names):
        rows = []
        for column, table in enumerate(tables):
            cell = table.cell(server, figure) if server in table.names else None
            x = column * (len(names) + 2) + at
            rows.append(f"{x} {cell[0]} {cell[1]} {cell[2]}" if cell else f"{x} NaN NaN NaN")
        block = f"$d{at}"
        data.append(f"{block} << EOD\n" + "\n".join(rows) + "\nEOD")
        plots.append(f"{block} using 1:2 with boxes lc rgb '{COLOURS[server]}' title '{server}'")
        plots.append(f"{block} using 1:3:(0):($4-$3) with vectors nohead lw 1.5 lc rgb '#333333' notitle")
    middle = (len(names) - 1) / 2
    tics = ", ".join(f"'{table.text}' {column * (len(names) + 2) + middle}" for column, table in enumerate(tables))
    script = "\n".join(data) + (f"\nset boxwidth 0.9\nset style fill solid 0.9\nset logscale y\nset format y '%.0s %c'\n"
                                f"set xtics ({tics}) font ',10'\nset key outside right top\nplot " + ", ".join(plots) + "\n")
    return plot(folder, name, title, script)


def latency_plot(folder, table):
    data, plots = [], []
    for at, server in enumerate(table.names):
        rows = []
        for x, (key, _) in enumerate(PERCENTILES):
            cell = table.cell(server, lambda r, key=key: r.get(f"latency_{key}_us"))
            if cell:
                rows.append(f"{x} {cell[0]} {cell[1]} {cell[2]}")
        data.append(f"$d{at} << EOD\n" + "\n".join(rows) + "\nEOD")
        plots.append(f"$d{at} using ($1+{at * 0.06}):2:3:4 with yerrorlines lw 2 pt 7 ps 0.5 lc rgb '{COLOURS[server]}' "
                     f"title '{server}'")
    tics = ", ".join(f"'{text.replace('%', '%%')}' {x}" for x, (_, text) in enumerate(PERCENTILES))
    script = "\n".join(data) + (f"\nset logscale y\nset ylabel 'us'\nset xtics ({tics})\nset xrange [-0.2:3.4]\n"
                                "set key outside right top\nplot " + ", ".join(plots) + "\n")
    return plot(folder, "latency", f"{table.text}: latency of so many messages at most", script)


def head_lines(found, results):
    names = {result["peer"] for result in results}
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    lines = ["# Holdfast and its peers", "",
             f"Made on {datetime.date.today().isoformat()} by `bench/compare`: Linux {platform.release()}, "
             f"{os.cpu_count()} CPUs ({model}), server on one, load generator spinning on the other, loopback. Every payload of every run was "
             "verified. Higher is better, but for bytes and latencies. `*`: no run of that server was undisturbed.", "",
             "| server | version | |", "|---|---|---|"]
    for peer in found:
        if peer.name in names:
            lines.append(f"| {peer.name} | {peer.version()} | {peer.text} |")
    return lines


def write_report(folder, found, results):
    """Writes report.md and the plots into the folder; returns the report's text."""
    if not results:
        return "nothing was measured"
    os.makedirs(folder, exist_ok=True)
    names = [peer.name for peer in found]
    order = list(dict.fromkeys(result["load"] for result in results))
    tables = [Table(text, [r for r in results if r["load"] == text], names) for text in order]
    lines = head_lines(found, results)
    may_plot = shutil.which("gnuplot") is not None
    for kind, title, figure in (("echo", "Echo: messages a second of server CPU", rate_of),
                                ("fanout", "Fan-out: deliveries a second of server CPU", rate_of),
                                ("latency", "Latency", None),
                                ("handshake", "Handshake and close: cycles a second of server CPU", rate_of),
                                ("idle", "Idle connections: bytes of user memory each",
                                 lambda r: r.get("user_bytes_per_connection_opened"))):
        of_kind = [table for table in tables if table.kind == kind]
        if not of_kind:
            continue
        lines += ["", f"## {title}"]
        for table in of_kind:
            lines += idle_lines(table) if kind == "idle" else latency_lines(table) if kind == "latency" else rate_lines(table)
        if may_plot:
            lines.append(latency_plot(folder, of_kind[0]) if kind == "latency" else bars(folder, kind, title, of_kind, figure))
    lines += ["", "## Commands", ""]
    lines += [f"- `{command}`" for command in dict.fromkeys(r["command"] for r in results if r["peer"] == "holdfast")]
    failed = [f"- {r['peer']}, {r['load']}: {r['problems'][0]}" for r in results if r["problems"]]
    lines += ["", f"{len(results)} runs, {sum(r['kept'] for r in results)} kept, {len(failed)} failed."] + failed
    text = "\n".join(lines) + "\n"
    with open(os.path.join(folder, "report.md"), "w", encoding="utf-8") as file:
        file.write(text)
    return text

"""The Debian package: made by cpack, installed below a folder, and what is there afterwards."""

import os
import pathlib
import re
import subprocess
import tempfile

from harness.gateway import binary_path
from harness.rows import row
from harness.wire import Wrong

WANTED = {
    "./etc/holdfast/holdfast.yaml": "-rw-r--r--",
    "./usr/bin/holdfast": "-rwxr-xr-x",
    "./usr/bin/holdfast-bench": "-rwxr-xr-x",
    "./usr/lib/systemd/system/holdfast.service": "-rw-r--r--",
    "./usr/lib/sysusers.d/holdfast.conf": "-rw-r--r--",
    "./usr/share/doc/holdfast/copyright": "-rw-r--r--",
    "./usr/share/holdfast/tuning/guide.md": "-rw-r--r--",
    "./usr/share/holdfast/tuning/sysctl.conf": "-rw-r--r--",
    "./usr/share/man/man1/holdfast.1": "-rw-r--r--",
    "./usr/share/man/man1/holdfast-bench.1": "-rw-r--r--",
    "./usr/share/man/man5/holdfast.yaml.5": "-rw-r--r--",
}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    if done.returncode != 0:
        raise Wrong(f"{done}")
    return done.stdout


def dpkg(folder, *arguments):
    """dpkg with a machine of its own below the folder; scripts run outside of it, with DPKG_ROOT."""
    flags = ["--force-depends", "--force-script-chrootless", "--force-not-root", "--force-confold"]
    return run("dpkg", f"--root={folder}", "--log=/dev/null", *flags, *arguments)


@row(
    "issue 6.6",
    "cpack -G DEB makes a package that can be installed, keeps what was edited, and goes again",
)
def deb(t):
    build = pathlib.Path(binary_path()).parent
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        made = pathlib.Path(folder, "made")
        run("cpack", "-G", "DEB", "-B", str(made), cwd=build)
        (package,) = made.glob("holdfast_*.deb")
        listed = {
            line.split()[-1]: line.split()[:2]
            for line in run("dpkg-deb", "-c", package).splitlines()
        }
        for path, mode in WANTED.items():
            if listed.get(path) != [mode, "root/root"]:
                raise Wrong(f"{path}: {listed.get(path)}")
        fields = run("dpkg-deb", "-f", package)
        for wanted in ("Package: holdfast", "liburing2", "libyaml-0-2", "libjansson4"):
            if wanted not in fields:
                raise Wrong(fields)

        machine = pathlib.Path(folder, "machine")
        for part in ("info", "updates"):
            (machine / "var/lib/dpkg" / part).mkdir(parents=True)
        (machine / "var/lib/dpkg/status").touch()
        (machine / "etc").mkdir()
        dpkg(machine, "-i", str(package))
        installed = str(machine / "usr/bin/holdfast")
        run(installed, "check", "-c", str(machine / "etc/holdfast/holdfast.yaml"))
        unit = (machine / "usr/lib/systemd/system/holdfast.service").read_text()
        if not re.search(
            r"^ExecStart=/usr/bin/holdfast run -c /etc/holdfast/holdfast.yaml$", unit, re.M
        ):
            raise Wrong(unit)
        if os.getuid() == 0 and "holdfast:" not in (machine / "etc/passwd").read_text():
            raise Wrong("no user was made")

        edited = machine / "etc/holdfast/holdfast.yaml"
        edited.write_text(edited.read_text() + "drain: 10s\n")
        dpkg(machine, "-i", str(package))
        if "drain: 10s" not in edited.read_text():
            raise Wrong("an upgrade lost what was edited")
        dpkg(machine, "--remove", "holdfast")
        if pathlib.Path(installed).exists() or not edited.exists():
            raise Wrong("a removal takes the program and leaves the configuration")
        dpkg(machine, "--purge", "holdfast")
        if edited.parent.exists():
            raise Wrong("a purge leaves the configuration")

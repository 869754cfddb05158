"""What a machine must have before anything of this project can be built, and how to get each thing.

All of it is looked at before the first byte is fetched and every missing thing is reported at once: a newcomer who
learns of the C compiler ten minutes into a build, and of Python's venv after that, has been told twice too late.
Looking is done without starting a program where a file lookup answers it, because set-up runs before every test run.
"""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Where Debian and Homebrew put PostgreSQL, one folder for each version.
POSTGRES_PARENTS = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"]


def problems(group_test):
    """Lists every missing prerequisite as one line each, with how to get it; empty when all are there.

    The test runner is none: set-up fetches it where the machine has none of its own.
    """
    found = [rust(), c_compiler(), *python(group_test), make()]
    return [problem for problem in found if problem]


def rust():
    """Checks for cargo and a compiler no older than the workspace's rust-version."""
    wanted = least_rust_version()
    install = "install Rust with rustup (the Rust project's installer), then open a new shell"
    if not shutil.which("cargo") or not shutil.which("rustc"):
        return f"Rust {wanted} or newer: no cargo or rustc on the PATH; {install}"
    version = first_line(["rustc", "--version"])
    match = re.search(r"rustc (\d+)\.(\d+)", version)
    if not match:
        return f"Rust {wanted} or newer: `rustc --version` said {version!r}; {install}"
    if (int(match[1]), int(match[2])) < tuple(int(part) for part in wanted.split(".")[:2]):
        return f"Rust {wanted} or newer: this is {match[0]}; run `rustup update stable`"
    return None


def least_rust_version():
    """Reads `rust-version` from the workspace's manifest, the one place where it is written."""
    match = re.search(r'^rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    return match[1]


def c_compiler():
    """Checks for a C compiler: SQLite and the TLS library are built from C."""
    if shutil.which(os.environ.get("CC", "cc").split()[0]):
        return None
    return f"a C compiler: no `cc` on the PATH; {system_package('gcc libc6-dev', 'xcode-select --install')}"


def python(group_test):
    """Checks this Python: its version, pip, and, for the tests, virtual environments."""
    least = (3, 10) if group_test else (3, 9)
    if sys.version_info < least:
        yield (
            f"Python {least[0]}.{least[1]} or newer: this is {platform.python_version()}; "
            "install a newer one and run `make PYTHON=/path/to/python3 ...`"
        )
    if not importlib.util.find_spec("pip"):
        yield f"pip for {sys.executable}: {system_package('python3-pip', f'{sys.executable} -m ensurepip')}"
    if group_test and not importlib.util.find_spec("ensurepip"):
        yield f"Python's venv for {sys.executable}: {system_package('python3-venv', 'use a Python that has venv')}"


def make():
    """Checks for make, which set-up is usually, but not necessarily, started by."""
    if shutil.which("make"):
        return None
    return f"make: not on the PATH; {system_package('make', 'xcode-select --install')}"


def nextest():
    """Finds the machine's own test runner; None when there is none, or one older than the tests' settings ask for."""
    found = shutil.which("cargo-nextest")
    if not found:
        return None
    wanted = least_nextest_version()
    match = re.match(r"cargo-nextest (\d+)\.(\d+)\.(\d+)", first_line([found, "--version"]))
    if not match or tuple(map(int, match.groups())) < tuple(map(int, wanted.split("."))):
        return None
    return found


def least_nextest_version():
    """Reads `nextest-version` from the tests' settings, the one place where it is written."""
    settings = (ROOT / ".config/nextest.toml").read_text(encoding="utf-8")
    return re.search(r'^nextest-version = "([\d.]+)"', settings, re.MULTILINE)[1]


def postgres():
    """Finds the folder with PostgreSQL's server programs; None where there is none.

    Debian keeps them off the PATH, in a folder for each version; the newest one counts. No prerequisite: the tests that
    need it are skipped without it, and say so.
    """
    given = os.environ.get("TAW_TEST_POSTGRES_BIN")
    if given:
        return Path(given) if holds_postgres(Path(given)) else None
    for folder in map(Path, os.environ.get("PATH", os.defpath).split(os.pathsep)):
        if holds_postgres(folder):
            return folder
    for parent in POSTGRES_PARENTS:
        versions = {int(re.sub(r"\D", "", path.parent.name) or 0): path for path in Path(parent).glob("*/bin")}
        found = [path for _, path in sorted(versions.items(), reverse=True) if holds_postgres(path)]
        if found:
            return found[0]
    return None


def holds_postgres(folder):
    """Tells whether a folder has the programs that make a cluster and serve it."""
    return all((folder / program).is_file() for program in ("initdb", "postgres"))


def system_package(debian, mac):
    """Says how to install a system package on this kind of machine."""
    if sys.platform == "darwin":
        return f"run `{mac}`"
    sudo = "" if os.geteuid() == 0 else "sudo "
    if shutil.which("apt-get"):
        return f"run `{sudo}apt-get install -y {debian}`"
    return f"install it with the system's package manager (on Debian the package is `{debian}`)"


def first_line(command):
    """Runs a command in the repository and gives the first line of what it says, empty when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]

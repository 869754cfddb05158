#!/usr/bin/env python3
"""Runs the project's checks and tests, and ends with one line that counts them.

`make test` and continuous integration run this one program, so a green run on a desk means a green run there. Every
step runs even when an earlier one failed, because a formatting slip should not hide a failing test; only the tests wait
for a build that works. A step whose tool this machine does not have is skipped with the reason and counted as skipped,
never as passed. A class of tests in which no test ran is a failure: that is how a wrong filter looks.

    tools/test.py                 everything
    tools/test.py fast            unit, contract, tidy and replay tests
    tools/test.py fmt clippy      any steps by name; `--list` names them
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import prerequisites
import setup

ROOT = Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
CACHE = setup.cache_root()
ANSI = re.compile(r"\x1b\[[0-9;]*m")
NEXTEST = re.compile(r"Summary \[.*?\]\s+[\d/]+ tests? run: (.*)")
COUNT = re.compile(r"(\d+) (passed|failed|timed out|exec failed)")
FLAKY = re.compile(r"(\d+) flaky")
DOCTEST = re.compile(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")
WASM = "wasm32-unknown-unknown"


# The tests that start a PostgreSQL server have its name in theirs.
NEEDS_POSTGRES = "package(scratch-postgres) | (kind(test) & test(postgres))"


class Skip(Exception):
    """A step that this machine cannot run, with the reason and the remedy."""


class Result:
    """What one step came to: counts of passed, failed and skipped checks, the seconds it took, and a remark."""

    def __init__(self, passed=0, failed=0, skipped=0, remark=""):
        self.passed, self.failed, self.skipped, self.remark = passed, failed, skipped, remark
        self.seconds = 0.0

    def word(self):
        """Says in one word how the step went."""
        if self.failed:
            return "FAILED"
        return "ok" if self.passed else "skipped"


def fmt():
    """Formatting is what rustfmt makes of it."""
    return gate([CARGO, "fmt", "--all", "--check"])


def tools():
    """The Python of tools/ does what it says."""
    return gate([sys.executable, "-m", "unittest", "discover", "-q", "-s", "tools", "-p", "*_test.py"])


def build():
    """Every library, program and test compiles, with the dependencies that Cargo.lock names."""
    return gate([CARGO, "build", "--workspace", "--all-targets", "--locked"])


def clippy():
    """The lint table of Cargo.toml holds everywhere, in tests too."""
    return gate([CARGO, "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])


def docs():
    """The documentation builds and none of its links is broken."""
    # Named targets, because with them cargo chooses the features of the tests and checks no dependency a second time.
    targets = ["--lib", "--bins", "--examples"]
    return gate([CARGO, "doc", "--workspace", "--no-deps", "--locked", *targets], RUSTDOCFLAGS="-D warnings")


def doctests():
    """The examples in the documentation compile and hold."""
    code, said = stream([CARGO, "test", "--doc", "--workspace", "--locked", "--no-fail-fast"])
    rows = [[int(n) for n in DOCTEST.search(line).groups()] for line in said if DOCTEST.search(line)]
    result = Result(*(sum(column) for column in zip(*rows))) if rows else Result()
    if code != 0 and not result.failed:
        result.failed = 1
    if not result.passed and not result.failed:
        result.skipped, result.remark = max(result.skipped, 1), "no example in the documentation is run"
    return result


def wasm():
    """The contract and workflow crates compile where there is no clock, no file and no socket."""
    if not wasm_std().is_dir() and shutil.which("rustup"):
        stream(["rustup", "target", "add", WASM])
    if not wasm_std().is_dir():
        raise Skip(f"Rust's standard library for {WASM} is missing; run `rustup target add {WASM}`")
    return gate([CARGO, "check", "--locked", "--target", WASM, "-p", "workflow-types", "-p", "ai-workflows"])


def wasm_std():
    """The folder in which this toolchain keeps the standard library for wasm."""
    command = ["rustc", "--print", "target-libdir", "--target", WASM]
    return Path(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "-")


def deny():
    """Licences, banned crates and sources of the whole dependency tree are those that deny.toml allows."""
    tool = installed("cargo-deny")
    stream([CARGO, "fetch", "--locked", "--quiet"])
    return gate([tool, "--offline", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])


def audit():
    """No locked dependency has a known vulnerability, by a local copy of the advisory database."""
    tool = installed("cargo-audit")
    return gate([tool, "audit", "--db", str(advisories()), "--no-fetch", "--stale"])


def installed(name):
    """Finds a tool that set-up fetched, or one on the PATH."""
    pinned = CACHE / "bin" / name
    found = str(pinned) if pinned.exists() else shutil.which(name)
    if not found:
        raise Skip(f"{name} is not here; run `make setup`")
    return found


def advisories():
    """Finds the advisory database: TAW_ADVISORY_DB (a clone, or a folder with the packed one), or beside the clone."""
    given = Path(os.environ.get("TAW_ADVISORY_DB") or ROOT / "../shared/data").resolve()
    if (given / "crates").is_dir():
        return given
    packed = given / "advisory-db.tar.zst"
    if not packed.is_file():
        raise Skip("no advisory database; clone RustSec's advisory-db and set TAW_ADVISORY_DB to it")
    if not shutil.which("zstd"):
        raise Skip(f"zstd is missing, which unpacks {packed.name}; install it with the system's package manager")
    home = CACHE / f"advisory-db-{hashlib.sha256(packed.read_bytes()).hexdigest()[:12]}"
    if not home.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="advisories-", dir=CACHE))
        subprocess.run(["tar", "--zstd", "-xf", str(packed), "-C", str(scratch)], check=True)
        scratch.replace(home)
    return home


def fast():
    """Unit, contract, tidy and replay tests, and the journal on PostgreSQL servers of its own: no network."""
    return nextest("not (binary(system) | binary(faults))")


def system():
    """Workflows on a real Temporal server with real workers."""
    return nextest("binary(system)")


def faults():
    """The same while processes are killed, stalled and cut off. LONG=1 makes them longer."""
    return nextest("binary(faults)")


def nextest(expression):
    """Runs the tests that a filter expression picks and counts them by nextest's summary."""
    left_out = 0
    if not prerequisites.postgres():
        left_out = matching(f"({expression}) & ({NEEDS_POSTGRES})")
        expression = f"({expression}) - ({NEEDS_POSTGRES})"
    code, said = stream([CARGO, "nextest", "run", "--workspace", "--locked", "--no-fail-fast", "-E", expression])
    result = read_nextest(said)
    if code != 0 and not result.failed:
        result.failed, result.remark = 1, "no test ran: see the message above"
    elif not result.passed and not result.failed:
        result.failed, result.remark = 1, "no test matched"
    if left_out:
        result.skipped += left_out
        result.remark = f"{left_out} tests need PostgreSQL, which is not here. {result.remark}".strip()
    return result


def matching(expression):
    """Counts the tests that a filter expression picks, without running any."""
    command = [CARGO, "nextest", "list", "--workspace", "--locked", "--message-format", "json", "-E", expression]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    suites = json.loads(said)["rust-suites"].values()
    cases = [case for suite in suites for case in suite["testcases"].values()]
    return sum(case["filter-match"]["status"] == "matches" for case in cases)


def read_nextest(said):
    """Counts from nextest's summary line; tests outside the filter are not skipped tests and are left out."""
    result = Result()
    for line in said:
        summary = NEXTEST.search(line)
        if not summary:
            continue
        for count, word in COUNT.findall(summary[1]):
            if word == "passed":
                result.passed += int(count)
            else:
                result.failed += int(count)
        flaky = FLAKY.search(summary[1])
        result.remark = f"{flaky[1]} passed only when run again" if flaky else ""
    return result


STEPS = [fmt, tools, deny, audit, build, clippy, fast, doctests, docs, wasm, system, faults]
NEED_BUILD = (fast, doctests, system, faults)


def main():
    """Runs the chosen steps and gives the exit code."""
    by_name = {step.__name__: step for step in STEPS}
    parser = argparse.ArgumentParser(description="Runs the project's checks and tests.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="steps to run (default: all)")
    parser.add_argument("--list", action="store_true", help="list the steps and stop")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:9} {step.__doc__.splitlines()[0]}" for name, step in by_name.items()))
        return 0
    unknown = [name for name in options.steps if name not in by_name]
    if unknown:
        parser.error(f"no such step: {', '.join(unknown)}; steps are {', '.join(by_name)}")
    os.environ.update(setup.environment(CACHE), RUST_BACKTRACE="0")
    results = {}
    try:
        for step in [by_name[name] for name in options.steps] or STEPS:
            results[step.__name__] = take(step, results)
    except KeyboardInterrupt:
        print("\ninterrupted", flush=True)
        return 130
    return report(results)


def take(step, results):
    """Runs one step, with its headline, and times it."""
    print(f"\n== {step.__name__}: {step.__doc__.splitlines()[0]}", flush=True)
    began = time.monotonic()
    if step in NEED_BUILD and results.get("build") and results["build"].failed:
        result = Result(skipped=1, remark="not run, because the build failed")
    else:
        try:
            result = step()
        except Skip as reason:
            result = Result(skipped=1, remark=str(reason))
    result.seconds = time.monotonic() - began
    if result.remark:
        print(f"{step.__name__}: {result.remark}", flush=True)
    return result


def report(results):
    """Prints a row per step and the closing line; gives the exit code."""
    print("\nstep        result     passed  failed  skipped   seconds")
    for name, result in results.items():
        counts = f"{result.passed:6}  {result.failed:6}  {result.skipped:7}  {result.seconds:8.1f}"
        print(f"{name:11} {result.word():9} {counts}  {result.remark}".rstrip())
    passed, failed, skipped = (sum(getattr(r, n) for r in results.values()) for n in ("passed", "failed", "skipped"))
    print(f"total {sum(r.seconds for r in results.values()):.0f} s\n")
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


def gate(command, **extra):
    """Runs a command that either holds or does not: one check."""
    code, _ = stream(command, **extra)
    return Result(passed=1) if code == 0 else Result(failed=1)


def stream(command, **extra):
    """Runs a command in the repository, passing its output on line by line; gives its exit code and the plain lines."""
    shown = " ".join(str(part) for part in command)
    print(f"$ {shown}", flush=True)
    env = dict(os.environ, CARGO_TERM_PROGRESS_WHEN="never", **extra)
    if sys.stdout.isatty():
        env.setdefault("CARGO_TERM_COLOR", "always")
    said = []
    try:
        child = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )
    except FileNotFoundError:
        print(f"{command[0]}: not found", flush=True)
        return 127, said
    with child:
        try:
            for line in child.stdout:
                print(line, end="", flush=True)
                said.append(ANSI.sub("", line))
        except KeyboardInterrupt:
            child.wait()
            raise
    return child.returncode, said


if __name__ == "__main__":
    sys.exit(main())

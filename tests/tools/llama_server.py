"""Serves a GGUF model through llama.cpp's own OpenAI-compatible server, for tests against an implementation that
is not ours.

Usage: llama_server.py MODEL.gguf [KEY]

Needs the Python package xllamacpp. Takes a free port on the loopback interface, prints "listening on PORT" once the
model answers, and ends when its standard input ends, so that it cannot outlive the test that started it. With a KEY, calls need it
as their bearer token.
"""

import json
import socket
import sys
import time
import urllib.error
import urllib.request

import xllamacpp

# Tokens of context for each of the slots; the context is split evenly over them.
CONTEXT_PER_SLOT = 1024
SLOTS = 2
READY_WITHIN_SECONDS = 120


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return json.load(answer).get("status") == "ok"
    except (OSError, ValueError):
        return False


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 64
    port = free_port()
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = sys.argv[2:]
    params.n_ctx = CONTEXT_PER_SLOT * SLOTS
    params.n_parallel = SLOTS
    # More threads spin against each other on a busy machine.
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not is_ready(port):
        if time.monotonic() > deadline:
            print(f"the model was not ready within {READY_WITHIN_SECONDS} s", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(f"listening on {port}", flush=True)
    sys.stdin.read()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Shows the pipeline at work on the documents in examples/: real server, real workers, the local model, no network.

It drives `pipelinectl` as a person would and prints what comes back, unedited; the commands it shows are the ones it
runs. It starts its own `pipelinectl dev` in .dev/demo, in a session of its own, so that Ctrl-C reaches this program
alone and everything is stopped once, in order, by process id. The server takes the usual ports when both are free and
any free ones otherwise, because a demonstration that fails beside a running server has shown nothing.
"""

import argparse
import collections
import ctypes
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".dev/demo"
READY = STATE / "ready.json"
LOG = STATE / "demo-dev.log"
START_PATIENCE_SECONDS = 120
STOP_PATIENCE_SECONDS = 40
KILL_PATIENCE_SECONDS = 60
WIDTH = 110

SUMMARIZE = "Summarize the following text in one sentence."
SUMMARIZE_AS_JSON = "Summarize the following text in one sentence and give it a title, as JSON."
# A small model goes on after its sentence; the end of the sentence ends the answer.
TEXT = ["--instruction", SUMMARIZE, "--max-output-tokens", "60", "--stop", ". "]
# A killed worker's call is not repeated before its lease has run out; 45 s would be long to watch.
LEASE_SECONDS = "20"


class Failure(Exception):
    """Something that ends the demonstration, worded for the person who watches it."""


class Stack:
    """The processes of one `pipelinectl dev`."""

    def __init__(self, binaries):
        self.program = binaries / "pipelinectl"
        self.process = None
        self.address = self.web_ui = self.blob_store = None

    def start(self):
        """Starts the server and both workers and waits until they are ready."""
        STATE.mkdir(parents=True, exist_ok=True)
        READY.unlink(missing_ok=True)
        ports = ["7233", "8233"] if free(7233) and free(8233) else ["0", "0"]
        command = [self.program, "dev", "--state-dir", STATE, "--ready-file", READY]
        command += ["--port", ports[0], "--ui-port", ports[1]]
        variables = {"AI_WORKER__JOURNAL__LEASE_SECONDS": LEASE_SECONDS, **os.environ}
        with LOG.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                cwd=ROOT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        give_up = time.monotonic() + START_PATIENCE_SECONDS
        while not READY.exists():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise Failure(f"the server and the workers did not start; the last lines of {LOG}:\n{tail(LOG)}")
            time.sleep(0.1)
        state = json.loads(READY.read_text(encoding="utf-8"))
        self.address, self.web_ui, self.blob_store = state["address"], state["webUi"], state["blobStore"]

    def stop(self):
        """Lets the workers drain and the server end; kills what is left of them after a while."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            # Its guard process stops what it leaves behind.
            self.process.kill()
            self.process.wait()

    def worker_pid(self):
        """The process id of the ai-worker, None while it is down."""
        state = json.loads((STATE / "dev.json").read_text(encoding="utf-8"))
        return next(child["pid"] for child in state["children"] if child["name"] == "ai-worker")

    def run(self, arguments, progress=False):
        """Runs one command of pipelinectl and gives its standard output; its progress goes to the terminal."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        variables.update(TEMPORAL_ADDRESS=self.address, PIPELINECTL__BLOB_STORE__URL=self.blob_store)
        result = subprocess.run(
            [self.program, *arguments],
            env=variables,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if progress else subprocess.PIPE,
            text=True,
            check=False,
        )
        if result.returncode:
            command = shlex.join(["pipelinectl", *map(str, arguments)])
            raise Failure(f"`{command}` ended with {result.returncode}:\n{result.stderr or ''}{result.stdout}")
        return result.stdout


def main():
    """Runs the demonstration and gives the exit code."""
    options = arguments()
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), interrupt)
    stack = Stack(options.binaries.resolve())
    try:
        show(stack)
        if options.keep:
            wait_for_the_user(stack)
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; stopping", file=sys.stderr)
        return 130
    finally:
        finish(stack)
    return 0


def arguments():
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Runs the pipeline and a batch on the sample documents.")
    parser.add_argument("--keep", action="store_true", help="leave server and Web UI running until Ctrl-C")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/debug", help="where the programs are")
    return parser.parse_args()


def end_with_parent():
    """Has the system end this process when the demonstration is killed and cannot stop it itself."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def interrupt(_number, _frame):
    """Turns a signal to end into the way that Ctrl-C ends it."""
    raise KeyboardInterrupt


def finish(stack):
    """Stops everything, whatever is pressed meanwhile: half of it left running would be worse than a short wait."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    if stack.process is not None:
        stack.stop()
        print("stopped the server and the workers")


def show(stack):
    """Runs every part, one after the other."""
    began = time.monotonic()
    print("starting a Temporal server, an ai-worker and a data-worker", flush=True)
    stack.start()
    print(f"ready after {time.monotonic() - began:.1f} s; Temporal {stack.address}, Web UI {stack.web_ui}")
    one_sentence(stack)
    structured(stack)
    long_text(stack)
    batch(stack)
    killed(stack)
    runs = json.loads(stack.run(["list", "--output", "json"]))
    print(f"\n{len(runs)} runs in {time.monotonic() - began:.0f} s, all with the local model on this processor")


def one_sentence(stack):
    """A text in, a sentence out."""
    title("One text, one sentence")
    report(stack, ["--file", "examples/documents/bridge-repair.txt", *TEXT])


def structured(stack):
    """An answer that is held to a schema while the model writes it."""
    title("JSON that matches a schema")
    schema = ["--schema", "examples/summary-and-title.schema.json", "--max-output-tokens", "120"]
    report(stack, ["--file", "examples/documents/swimming-pool.txt", "--instruction", SUMMARIZE_AS_JSON, *schema])


def long_text(stack):
    """A text that is cut into chunks, each summarised, and the summaries summarised."""
    title("A long text: cut, summarised in parts, reduced")
    report(stack, ["--file", "examples/long-tram.txt", *TEXT, "--chunk-tokens", "350"])


def batch(stack):
    """Two batches: the files of a folder, and requests that differ, a line each."""
    title("A batch: every file of a folder")
    report_batch(stack, ["--dir", "examples/documents", *TEXT], "documents.jsonl")
    title("A batch: a request on every line")
    report_batch(stack, ["--jsonl", "examples/requests.jsonl"], "requests.jsonl")


def report_batch(stack, request, results):
    """Runs a batch under its progress bar and prints every answer."""
    results = STATE / results
    command = ["llm", "run", *request, "--out", str(results)]
    show_command(command)
    began = time.monotonic()
    stack.run(command, progress=True)
    for line in results.read_text(encoding="utf-8").splitlines():
        print_item(json.loads(line))
    print(f"   = {time.monotonic() - began:.1f} s")


def killed(stack):
    """The worker is killed while the model writes, and the run ends all the same."""
    title("kill -9 of the ai-worker in the middle of a run")
    run = f"demo-killed-{int(time.time())}"
    request = ["--file", "examples/long-tram.txt", *TEXT, "--chunk-tokens", "350", "--id", run]
    command = ["llm", "run", *request]
    show_command(command)
    began = time.monotonic()
    stack.run([*command, "--detach"])
    done = wait_for_a_chunk(stack, run)
    pid = stack.worker_pid()
    os.kill(pid, signal.SIGKILL)
    print(f"   killed ai-worker, pid {pid}, {time.monotonic() - began:.1f} s into the run, {done}")
    print(f"   its unfinished calls are made again when their lease of {LEASE_SECONDS} s has run out", flush=True)
    output = json.loads(stack.run(["result", run, "--output", "json"]))
    print(f"   it was started again, pid {stack.worker_pid()}, and the run ended")
    print_answer(output)
    print_facts(output, time.monotonic() - began)


def wait_for_a_chunk(stack, run):
    """Waits until the model has answered one chunk of a run and not all, and says so."""
    give_up = time.monotonic() + KILL_PATIENCE_SECONDS
    while time.monotonic() < give_up:
        status = json.loads(stack.run(["status", run, "--output", "json"]))["status"]
        done, total = status.get("chunksDone", 0), status.get("chunksTotal", 0)
        if 0 < done < total:
            return f"{done} of {total} chunks done"
        time.sleep(0.2)
    raise Failure(f"run {run} did not get as far as its second chunk in {KILL_PATIENCE_SECONDS} s")


def report(stack, request):
    """Runs one request and prints its answer and where its time went."""
    command = ["llm", "run", *request]
    show_command(command)
    began = time.monotonic()
    output = json.loads(stack.run([*command, "--output", "json"]))
    print_answer(output)
    print_facts(output, time.monotonic() - began)


def print_answer(output):
    """Prints an answer as it came, with the lines wrapped."""
    if "json" in output:
        text = json.dumps(output["json"], indent=2, ensure_ascii=False)
        print(textwrap.indent(text, "   > "))
        return
    print(wrapped(output.get("text", ""), "   > "))


def print_item(item):
    """Prints one item of a batch: its id and its answer, or why there is none."""
    text = item.get("text") or json.dumps(item.get("json", item), ensure_ascii=False)
    print(wrapped(f"{item['id']}: {text}", "   > "))


def print_facts(output, seconds):
    """Prints tokens, chunks and the sum of each step's time."""
    steps = collections.Counter()
    for step in output.get("steps", []):
        steps[step["step"]] += step["milliseconds"]
    times = ", ".join(f"{name} {figure(ms)}" for name, ms in steps.items() if ms >= 1)
    usage = output["usage"]
    calls = usage.get("calls", 0)
    cut = "" if output["outcome"] == "OUTCOME_COMPLETED" else f"; {output['outcome'].split('_', 1)[1].lower()}"
    parts = f", {output['chunks']} chunks" if output.get("chunks", 0) > 1 else ""
    tokens = f"{usage.get('inputTokens', 0)} tokens in, {usage.get('outputTokens', 0)} out"
    print(f"   = {seconds:.1f} s; {calls} model {'call' if calls == 1 else 'calls'}{parts}, {tokens}{cut}")
    print(wrapped(f"time in steps, those at the same time added up: {times}", "     "), flush=True)


def figure(milliseconds):
    """Milliseconds or seconds, whichever reads better."""
    return f"{milliseconds / 1000:.1f} s" if milliseconds >= 1000 else f"{milliseconds:.1f} ms"


def title(words):
    """Prints the heading of one part."""
    print(f"\n== {words}", flush=True)


def show_command(command):
    """Prints the command that is run, such that it can be typed."""
    print(wrapped("$ pipelinectl " + shlex.join(shortened(command)), "   "), flush=True)


def shortened(command):
    """The command with paths as they are seen from the folder of the repository."""
    return [part.removeprefix(f"{ROOT}/") for part in command]


def wrapped(text, indent):
    """Text in lines that fit a terminal."""
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    form = {"initial_indent": indent, "subsequent_indent": indent, "break_on_hyphens": False, "break_long_words": False}
    return "\n".join(textwrap.fill(line, width, **form) for line in text.splitlines())


def wait_for_the_user(stack):
    """Keeps everything running so that it can be looked at."""
    print(f"\neverything is still running: look at {stack.web_ui}, or in another terminal:")
    print(f"   export TEMPORAL_ADDRESS={stack.address}\n   {shortened([str(stack.program)])[0]} list")
    print("Ctrl-C stops it all.", flush=True)
    try:
        stack.process.wait()
    except KeyboardInterrupt:
        print()
        return
    raise Failure(f"the server and the workers ended; the last lines of {LOG}:\n{tail(LOG)}")


def free(port):
    """Tells whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def tail(path):
    """The last lines of a log."""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


if __name__ == "__main__":
    sys.exit(main())

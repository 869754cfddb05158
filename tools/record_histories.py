#!/usr/bin/env python3
"""Records runs of every kind into tests/histories, where tests/replay holds today's workflows against them.

It starts a Temporal server and both workers of its own by `pipelinectl dev`, on free ports and in a temporary folder,
and a provider that answers by script, because a repair, a rate limit or a refused key can't be had from the local model
when they are wanted. Nothing waits for a guessed time: the provider's log says when a call has come. All runs are
recorded before the first file is replaced, so a recording that fails changes nothing. Everything is stopped by process
id. What a file has to show is checked by the replay tests, which also know which files there have to be.
"""

import argparse
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HISTORIES = ROOT / "tests/histories"
START_PATIENCE_SECONDS = 120
CALL_PATIENCE_SECONDS = 30
STOP_PATIENCE_SECONDS = 40
LOOK_AGAIN_SECONDS = 0.1
# After so many events the server suggests to continue as new; no run of one page looks at it.
SUGGESTED_EVENTS = 40

MODEL = "chaos/scripted"
TITLE = ["--instruction", "Give a title."]
SCRIPTED = [*TITLE, "--model", MODEL]
STAGED = ["--placement", "data-worker"]
SENTENCE = "The bridge over the river was closed after the storm, and the town had to find another way to the market."
SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string", "maxLength": 20}},
    "required": ["title"],
    "additionalProperties": False,
}


def rule(word, reply, times=None):
    """A rule of the provider's script for prompts that hold a word."""
    return {"when": {"prompt_contains": word}, "times": times, "reply": reply}


def answer(text, delay_ms=0):
    """The reply with this text."""
    return {"delay_ms": delay_ms, "behaviour": {"kind": "answer", "text": {"fixed": text}}}


# A gate is opened by a test, and this program is none.
NEVER = {"gate": "never"}


SCRIPT = {
    "rules": [
        rule("<repaired>", answer('{"title": 5}'), times=1),
        rule("<repaired>", answer('{"title": "The bridge"}')),
        rule("<limited>", {"behaviour": {"kind": "rate_limited", "retry_after": {"seconds": 2}}}, times=1),
        rule("<refused>", {"behaviour": {"kind": "refused", "status": 401}}),
        rule("<held>", NEVER),
        rule("<slow>", answer("The bridge", delay_ms=2000)),
        # A call's own deadline counts from its start, so only a later call is still under way at that of the run.
        rule("<late>", answer('{"title": 5}', delay_ms=2000), times=1),
        rule("<late>", NEVER),
    ]
}


class Failure(Exception):
    """Something that ends the recording, worded for the person who started it."""


class Recorder:
    """A server, its workers and a provider, and what was recorded of them so far."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, folder
        self.dev = self.provider = None
        self.state = {}
        self.recorded = folder / "recorded"
        self.recorded.mkdir()

    def start(self):
        """Starts the provider, then the server and both workers, and waits until they are ready."""
        models = '{ scripted = { context_window = 4096, billing = { kind = "free" } } }'
        openai = f'{{ chaos = {{ name = "chaos", base_url = "{self.start_provider()}", models = {models} }} }}'
        variables = self.variables(
            AI_WORKER__MODELS__OPENAI=openai,
            DATA_WORKER__DOCUMENTS__MODELS=f'{{ "{MODEL}" = {{ context_window = 4096 }} }}',
            CANDLE_NUM_THREADS="1",
        )
        ready, log = self.folder / "ready.json", self.folder / "dev.log"
        command = [self.binaries / "pipelinectl", "dev", "--headless", "--port", "0"]
        command += ["--state-dir", self.folder / "state", "--ready-file", ready, "--temporal-bin", self.server()]
        with log.open("wb") as output:
            self.dev = start(command, stdout=output, stderr=output, env=variables, start_new_session=True)
        give_up = time.monotonic() + START_PATIENCE_SECONDS
        while not ready.exists():
            if self.dev.poll() is not None or time.monotonic() > give_up:
                last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
                raise Failure(f"the server and the workers did not start; the last lines of their log:\n{last}")
            time.sleep(LOOK_AGAIN_SECONDS)
        self.state = json.loads(ready.read_text(encoding="utf-8"))

    def start_provider(self):
        """Starts the provider and gives its address."""
        script = self.write("script.json", json.dumps(SCRIPT))
        command = [self.binaries / "chaos-server", "--script", script, "--log", self.folder / "calls.jsonl"]
        self.provider = start(command, stdout=subprocess.PIPE, text=True)
        address = self.provider.stdout.readline().strip()
        if not address:
            raise Failure("the scripted provider did not start")
        return address

    def server(self):
        """A program that runs Temporal's with a limit at which a batch of a few pages continues as new."""
        setting = f"limit.historyCount.suggestContinueAsNew={SUGGESTED_EVENTS}"
        text = f"#!/bin/sh\nexec {shlex.quote(temporal())} \"$@\" --dynamic-config-value {setting}\n"
        path = self.write("temporal", text)
        path.chmod(0o755)
        return path

    def stop(self):
        """Stops the server and the workers, then the provider; kills what does not end."""
        for process in (self.dev, self.provider):
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def variables(self, **more):
        """The environment without what leads to another server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        return {**kept, **more}

    def write(self, name, text):
        """Writes a file and gives its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def call(self, program, arguments, expected=0):
        """Runs a command that has to end with the expected code, and gives its standard output."""
        variables = self.variables(
            TEMPORAL_ADDRESS=self.state["address"],
            TEMPORAL_CONFIG_FILE=os.devnull,
            PIPELINECTL__BLOB_STORE__URL=self.state["blobStore"],
        )
        command = [str(part) for part in (program, *arguments)]
        result = subprocess.run(
            command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if result.returncode != expected:
            shown = shlex.join(command)
            raise Failure(f"`{shown}` ended with {result.returncode}:\n{result.stderr}{result.stdout}")
        return result.stdout

    def ctl(self, *arguments, expected=0):
        """Runs pipelinectl."""
        return self.call(self.binaries / "pipelinectl", arguments, expected)

    def ask(self, *arguments):
        """Runs pipelinectl and gives its answer."""
        return json.loads(self.ctl(*arguments, "--output", "json"))

    def run(self, name, *request, expected=0):
        """Runs a request to its end under its name and records it."""
        self.ctl("llm", "run", *request, "--id", name, expected=expected)
        self.record(name)

    def record(self, workflow_id, name=None, run_id=None):
        """Records a run under its workflow id or another name, and gives its events."""
        path = self.recorded / f"{name or workflow_id}.json"
        which = ["--run-id", run_id] if run_id else []
        self.ctl("history", "export", workflow_id, *which, "--out", path)
        print(f"  {path.stem}", flush=True)
        return json.loads(path.read_text(encoding="utf-8"))["events"]

    def calls(self):
        """How many calls have come to the provider."""
        path = self.folder / "calls.jsonl"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return sum('"event":"received"' in line for line in text.splitlines())

    def detach(self, name, *request, calls=1):
        """Starts a request under its name and returns when it has made so many calls."""
        before = self.calls()
        self.ctl("llm", "run", *request, "--id", name, "--detach")
        self.until(lambda: self.calls() - before >= calls, f"{name} has called its model")

    def until(self, happened, what):
        """Waits until something has happened."""
        give_up = time.monotonic() + CALL_PATIENCE_SECONDS
        while not happened():
            if time.monotonic() > give_up:
                raise Failure(f"not within {CALL_PATIENCE_SECONDS} s: {what}")
            time.sleep(LOOK_AGAIN_SECONDS)

    def install(self, folder):
        """Puts what was recorded in the place of what was there; a chain may have got shorter."""
        for old in folder.glob("llm-batch-continued-*.json"):
            old.unlink()
        for path in sorted(self.recorded.glob("*.json")):
            (folder / path.name).write_bytes(path.read_bytes())


def finished(recorder):
    """Runs that give an answer."""
    recorder.run("llm-pipeline-inline", SENTENCE, *TITLE, "--max-output-tokens", "12")
    recorder.run("llm-pipeline-json", SENTENCE, *TITLE, "--schema", schema(recorder), "--max-output-tokens", "40")
    text = recorder.write("long.txt", "\n\n".join(f"Paragraph {number}. {SENTENCE}" for number in range(24)))
    recorder.run("llm-pipeline-chunks", "--file", text, *SCRIPTED, *STAGED, "--chunk-tokens", "200")
    recorder.run("llm-pipeline-repaired", f"<repaired> {SENTENCE}", *SCRIPTED, "--schema", schema(recorder))
    recorder.run("llm-pipeline-retry-after", f"<limited> {SENTENCE}", *SCRIPTED)


def spending(recorder):
    """Runs that another model answers, that wait for their budget, and that wait for a person."""
    recorder.run("llm-pipeline-fallback", SENTENCE, *TITLE, "--model", "nobody/none", "--fallback", MODEL)
    name = "llm-pipeline-parked"
    recorder.ctl("llm", "run", SENTENCE, *SCRIPTED, "--max-tokens-total", "1", "--id", name, "--detach")
    recorder.until(lambda: waits(recorder, name), f"{name} waits for its budget")
    recorder.ctl("budget", "raise", name, "--max-tokens", "100000", "--actor", "recorder")
    recorder.ctl("result", name)
    recorder.record(name)
    for name, decision in (("llm-pipeline-edited", ["edit", "--text", "A bridge"]), ("llm-pipeline-rejected", ["reject"])):
        recorder.ctl("llm", "run", SENTENCE, *SCRIPTED, "--review", "always", "--id", name, "--detach")
        recorder.until(lambda waiting=name: waits(recorder, waiting), f"{name} waits for a person")
        recorder.ctl("review", decision[0], name, *decision[1:], "--actor", "recorder")
        recorder.ctl("result", name)
        recorder.record(name)


def waits(recorder, name):
    """Tells whether a run waits for something."""
    return bool(recorder.ask("status", name)["status"].get("awaiting"))


def failed(recorder):
    """Runs that fail: before the first step, at a model that is not there, at a provider, at the deadline."""
    for name, workflow in (("llm-pipeline-refused", "LlmPipelineWorkflow"), ("llm-batch-refused", "LlmBatchWorkflow")):
        which = ["--type", workflow, "--workflow-id", name, "--task-queue", "ai-processing", "--input", "{}"]
        recorder.call(temporal(), ["workflow", "start", *which])
        recorder.ctl("result", name, expected=1)
        recorder.record(name)
    recorder.run("llm-pipeline-no-model", SENTENCE, *TITLE, "--model", "nobody/none", expected=1)
    recorder.run("llm-pipeline-provider-error", f"<refused> {SENTENCE}", *SCRIPTED, *STAGED, expected=1)
    late = [f"<late> {SENTENCE}", *SCRIPTED, *STAGED, "--schema", schema(recorder), "--deadline", "5s"]
    recorder.run("llm-pipeline-deadline", *late, expected=1)


def cancelled(recorder):
    """Runs that are stopped while a model is at work."""
    items = recorder.write("held.jsonl", lines([SENTENCE, "<held> one", "<held> two", "<held> three", "<held> four"]))
    recorder.detach("llm-pipeline-cancelled", f"<held> {SENTENCE}", *SCRIPTED, *STAGED)
    recorder.detach("llm-batch-cancelled", "--jsonl", items, *SCRIPTED, "--window", "2", calls=3)
    for name in ("llm-pipeline-cancelled", "llm-batch-cancelled"):
        recorder.ctl("cancel", name, "--reason", "no longer needed")
    for name in ("llm-pipeline-cancelled", "llm-batch-cancelled"):
        recorder.ctl("result", name, expected=3)
        recorder.record(name)


def left_behind(recorder):
    """A run that ends while no data-worker can remove what it staged, and the run that removes it later."""
    name = "llm-pipeline-left-behind"
    recorder.detach(name, f"<slow> {SENTENCE}", *SCRIPTED, *STAGED)
    worker = next(child["pid"] for child in recorder.state["children"] if child["name"] == "data-worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        recorder.ctl("result", name)
    finally:
        os.kill(worker, signal.SIGCONT)
    run_id = recorder.ask("describe", name)["runId"]
    later = f"{name}/clean-up/{run_id}"
    recorder.until(lambda: recorder.ask("describe", later)["status"] == "completed", f"{later} has ended")
    recorder.record(name)
    recorder.record(later, name="discard-staged")


def batches(recorder):
    """A batch with an item that runs as a child, and one whose history is handed from run to run."""
    items = [SENTENCE, "Another text.", "many words " * 1000]
    items = recorder.write("large.jsonl", lines(items))
    recorder.run("llm-batch-with-child", "--jsonl", items, *SCRIPTED)
    recorder.record("llm-batch-with-child/item/2", name="llm-pipeline-child")

    items = recorder.write("many.jsonl", lines([f"Text {number}. {SENTENCE}" for number in range(12)]))
    name = "llm-batch-continued"
    recorder.ctl("llm", "run", "--jsonl", items, *SCRIPTED, "--page-items", "2", "--window", "2", "--id", name)
    runs = [recorder.ask("describe", name)["runId"]]
    while earlier := before(recorder.ctl("history", "export", name, "--run-id", runs[0])):
        runs.insert(0, earlier)
    for number, run_id in enumerate(runs, start=1):
        recorder.record(name, name=f"{name}-{number}", run_id=run_id)


def schema(recorder):
    """The path of a file with the schema."""
    return recorder.write("schema.json", json.dumps(SCHEMA))


def lines(texts):
    """A batch file with an item for each text."""
    return "".join(json.dumps({"id": f"item-{number}", "text": text}) + "\n" for number, text in enumerate(texts))


def before(history):
    """The id of the run that the run of a history goes on from; empty for a first one."""
    began = json.loads(history)["events"][0]["attributes"]["WorkflowExecutionStartedEventAttributes"]
    return began["continued_execution_run_id"]


def temporal():
    """Temporal's own program, as `make setup` fetched it."""
    program = os.environ.get("TAW_TEMPORAL_BIN")
    if not program:
        raise Failure("TAW_TEMPORAL_BIN is not set; run this by `make histories`")
    return program


def start(command, **options):
    """Starts a program that ends with this one."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent, **options)


def end_with_parent():
    """Has the system end this process when the recording is killed and cannot stop it itself."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def interrupt(_number, _frame):
    """Turns a signal to end into the way that Ctrl-C ends it."""
    raise KeyboardInterrupt


def finish(recorder):
    """Stops everything, whatever is pressed meanwhile: half of it left running would be worse than a short wait."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    recorder.stop()


def main():
    """Records everything and gives the exit code."""
    options = arguments()
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), interrupt)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="taw-histories-") as folder:
        recorder = Recorder(options.binaries.resolve(), Path(folder))
        try:
            recorder.start()
            for part in (finished, spending, failed, cancelled, left_behind, batches):
                part(recorder)
            recorder.install(options.out)
        except Failure as failure:
            print(f"record_histories: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\ninterrupted; nothing was replaced", file=sys.stderr)
            return 130
        finally:
            finish(recorder)
    print(f"recorded in {time.monotonic() - began:.0f} s; now `make test-fast` replays them")
    return 0


def arguments():
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Records runs of every kind for the replay tests.")
    parser.add_argument("--binaries", type=Path, default=ROOT / "target/debug", help="where the programs are")
    parser.add_argument("--out", type=Path, default=HISTORIES, help="the folder whose files are replaced")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""Starts LlmPipelineWorkflow with Temporal's own SDK, as plain dictionaries, and prints its answer as JSON."""

import argparse
import asyncio
import json
import os
import sys
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError


async def main():
    """Runs one request and gives the exit code: 0 done, 1 failed, 3 cancelled."""
    options = arguments()
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    request = {
        "instruction": "Summarize in one sentence.",
        "content": {"text": options.text},
        "parameters": {"maxOutputTokens": 64},
        "deadlineSeconds": 600,
    }
    if options.model:
        request["model"] = options.model
    try:
        run = await client.start_workflow(
            "LlmPipelineWorkflow",
            request,
            id=options.id,
            task_queue="ai-processing",
            # Longer than the deadline, so that the workflow ends itself and cleans up.
            execution_timeout=timedelta(seconds=1200),
            # One id is one piece of work, also after it ended.
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
    except WorkflowAlreadyStartedError:
        print(f"the id {options.id} has been used", file=sys.stderr)
        return 1
    if options.cancel:
        await run.signal("cancel", {"reason": options.cancel})
    status = await run.query("status")
    print(json.dumps(status), file=sys.stderr)
    try:
        print(json.dumps(await run.result(), indent=2))
    except WorkflowFailureError as failure:
        cause = failure.cause
        if isinstance(cause, ApplicationError):
            print(cause.type, json.dumps(cause.details), file=sys.stderr)
            return 1
        print(type(cause).__name__, json.dumps(getattr(cause, "details", ())), file=sys.stderr)
        return 3
    return 0


def arguments():
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("id", help="the workflow id: a name of your own for this piece of work")
    parser.add_argument("text", help="the text to work on")
    parser.add_argument("--model", help="provider/model; default the local one")
    parser.add_argument("--cancel", metavar="REASON", help="cancel the run at once, to see how that looks")
    return parser.parse_args()


if __name__ == "__main__":
    code = asyncio.run(main())
    sys.stdout.flush()
    sys.stderr.flush()
    # The SDK's native threads can bring down the interpreter on its way out; everything is said by now.
    os._exit(code)

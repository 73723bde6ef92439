"""A proxy's faults. `FAULT_SHARE` says which share of the requests goes wrong, after the first `FAULT_AFTER` of them and of
those whose URL has `FAULT_URL` in it; `FAULT_KIND` how: `mixed` is 503, a delay or a cut connection. What is asked is written
to the file `FAULT_LOG`, a line each."""

import asyncio
import os
import random

from mitmproxy import http

SHARE = float(os.environ["FAULT_SHARE"])
AFTER = int(os.environ.get("FAULT_AFTER", "0"))
URL = os.environ.get("FAULT_URL", "")
KIND = os.environ.get("FAULT_KIND", "mixed")
RANDOM = random.Random(42)
# What S3 answers to a session's credentials when the session is over.
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>HUSHHUSH</Token-0></Error>"
asked = 0


def answer(status: int, body: bytes) -> http.Response:
    return http.Response.make(status, body, {"Content-Type": "application/xml"})


async def request(flow: http.HTTPFlow) -> None:
    global asked
    with open(os.environ["FAULT_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{flow.request.method} {flow.request.path}\n")
    asked += 1
    if asked <= AFTER or URL not in flow.request.path or RANDOM.random() >= SHARE:
        return
    kind = RANDOM.choice(["unavailable", "delayed", "cut"]) if KIND == "mixed" else KIND
    if kind == "unavailable" or (kind == "delayed" and SHARE == 1):
        flow.response = answer(503, b"<Error><Code>SlowDown</Code></Error>")
    elif kind == "refused":
        flow.response = answer(400, b"<Error><Code>InvalidPart</Code></Error>")
    elif kind == "expired":
        flow.response = answer(400, EXPIRED)
    elif kind == "delayed":
        await asyncio.sleep(1)
    elif kind == "silent":
        await asyncio.sleep(3600)
    else:
        flow.kill()

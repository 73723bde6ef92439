"""A proxy's faults: a share of the requests is answered with 503, delayed or cut off. `FAULT_SHARE` says how large."""

import asyncio
import os
import random

from mitmproxy import http

SHARE = float(os.environ["FAULT_SHARE"])
RANDOM = random.Random(42)


async def request(flow: http.HTTPFlow) -> None:
    if RANDOM.random() >= SHARE:
        return
    kind = RANDOM.choice(["unavailable", "delayed", "cut"])
    if kind == "unavailable" or (kind == "delayed" and SHARE == 1):
        flow.response = http.Response.make(503, b"<Error><Code>SlowDown</Code></Error>", {"Content-Type": "application/xml"})
    elif kind == "delayed":
        await asyncio.sleep(1)
    else:
        flow.kill()

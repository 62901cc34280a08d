"""A clock: writes the time to stdout every second, until it is told to end."""

import os
import signal
import time
from types import FrameType


def end_in_order(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit("the clock stops")


signal.signal(signal.SIGTERM, end_in_order)
# Ready: whoever started the clock with `--ready fd:3` waits for this line.
os.write(3, b"\n")
os.close(3)
while True:
    now = time.time()
    print(time.strftime("%H:%M:%S", time.localtime(now)), flush=True)
    time.sleep(max(0.0, int(now) + 1.001 - time.time()))

"""What a terminal is told: text for people, JSON for programs."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Any, Literal, TextIO

from modelwidgets.plain_json import as_json
from modelwidgets.tables import visible, visible_lines


def say(text: str, to: Literal["stdout", "stderr"] = "stdout") -> None:
    """Print, whether or not somebody still reads (`| head`) or ever could (`>&-`)."""
    stream: TextIO | None = getattr(sys, to)
    if stream is None:
        return
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # Python tries again at its end, and would complain then
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # what Windows says for a closed pipe
            raise


def say_error(error: Exception, text: str, *, as_json: bool, **more: Any) -> None:
    if as_json:
        # one line, because who has started `serve` reads one
        say(json_text({"error": text, "kind": type(error).__name__, **more}, indent=None))
    else:
        say("\n".join(visible_lines(text)), "stderr")


def say_warning(message: Warning | str, *_where: Any, **_more: Any) -> None:
    say(f"Warning: {visible(str(message))}", "stderr")


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """For programs, so in plain ASCII: it is the same in every terminal and controls none."""
    return json.dumps(as_json(value), indent=indent)

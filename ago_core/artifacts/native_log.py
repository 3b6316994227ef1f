"""Keeps known noise of TVM's C++ log out of standard error."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_native_warning(text: str) -> Iterator[None]:
    """Drops lines that hold `text` from what native code writes to standard error; other lines come out afterwards."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            for line in log:
                if text.encode() not in line:
                    os.write(2, line)

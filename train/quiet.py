"""Keeps TensorFlow's own chatter off the terminal; what it has to say reaches us as exceptions.

Python's streams are not enough: the converter and the runtimes write to file descriptors 1 and 2 from C++.
"""

import contextlib
import os
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(enabled: bool = True) -> Iterator[None]:
    """Nothing written to standard output or standard error inside reaches the terminal, from Python or from C++."""
    if not enabled:
        yield
        return
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(tempfile.TemporaryFile("w+"))
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        for descriptor in (1, 2):
            # A process can be started with a standard stream closed.
            with contextlib.suppress(OSError):
                kept = os.dup(descriptor)
                os.dup2(sink.fileno(), descriptor)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, descriptor)
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield
        sink.flush()


def tensorflow() -> types.ModuleType:
    """TensorFlow, imported at first use (it takes seconds) and told to report errors only."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        with quiet():
            import tensorflow  # noqa: F401
            from absl import logging

            logging.set_verbosity(logging.ERROR)
            sys.modules["tensorflow"].get_logger().setLevel("ERROR")
    return sys.modules["tensorflow"]

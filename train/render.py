"""Samples for the rounds to come, rendered by worker processes while the network learns from those at hand."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from train.augment import render

Image = NDArray[np.uint8]

CHUNK = 1000  # images a task: about half a second of work

_images: Image


def _start_worker(images: Image) -> None:
    global _images
    _images = images
    settle_worker()


def settle_worker() -> None:
    """What a process that draws samples for a training does first."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this worker when the training was killed: nobody else would, and it holds the terminal's streams."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _render_chunk(first: int, seed: list[int]) -> Image:
    return render(_images[first : first + CHUNK], seed)


class Renderer:
    """Renders every image anew for each round, one round ahead; the same seed gives the same ones."""

    def __init__(self, images: Image, seed: int, workers: int) -> None:
        """images: uint8 (n, 28, 28), in the order in which the rounds come out."""
        self._count = len(images)
        self._seed = seed
        context = multiprocessing.get_context("spawn")  # a fork would copy TensorFlow's threads in an unknown state
        self._pool = ProcessPoolExecutor(workers, context, _start_worker, (images,))

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def rounds(self, first: int, end: int, stream: int = 0) -> Iterator[Image]:
        """Glyphs uint8 (n, 28, 28) for each round from `first` to before `end`; another stream holds other ones."""
        ahead = self._submit(first, stream) if first < end else []
        for index in range(first, end):
            now, ahead = ahead, self._submit(index + 1, stream) if index + 1 < end else []
            yield np.concatenate([task.result() for task in now])

    def _submit(self, index: int, stream: int) -> list[Future[Image]]:
        starts = range(0, self._count, CHUNK)
        return [self._pool.submit(_render_chunk, first, [self._seed, stream, index, first]) for first in starts]

"""The inbox: a folder that fills with pictures, each read once, also across restarts.

    inbox = Inbox("/srv/pictures", store, done="/srv/read")
    frame = inbox.read()
    store.add(record, picture=inbox.picture(frame.path))  # read, and remembered as such, in one transaction
    inbox.done(frame.path)  # only now is it moved

A picture is remembered by its path in the folder and by what its file looks like. It is moved after that is committed:
whoever dies in between finds it known at the next start and moves it then.
"""

import errno
import itertools
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edge.capture import Folder, Frame, turned
from edge.errors import EdgeDigitsError, SourceError

FAILED_MARK = "failed "  # stands before the state of a picture that could not be read
PART = ".part"  # what a copy is called until it is whole; hidden besides

_log = logging.getLogger("edge_digits.inbox")


class Pictures(Protocol):
    """Remembers pictures, as the store does."""

    def picture_state(self, path: str) -> str | None:
        """What was marked last."""
        ...

    def mark_picture(self, path: str, state: str) -> None:
        """Raises StoreError."""
        ...

    def marked_pictures(self) -> Iterator[str]:
        """The paths of all that are marked. Raises StoreError."""
        ...

    def forget_pictures(self, paths: Iterable[str]) -> None:
        """Raises StoreError."""
        ...


class Inbox:
    """A folder's pictures as a source, and what becomes of them afterwards. `path` of its frames names them."""

    live = False

    def __init__(self, folder: str, pictures: Pictures, *, done: str = "", failed: str = "", rotate: int = 0) -> None:
        """done, failed: folders for pictures that were read and that cannot be; empty: they stay where they are.

        rotate: degrees clockwise by which `load` turns a picture; then it cannot be read by its path.
        """
        self.name = folder
        self._done, self._failed, self._rotate = done, failed, rotate
        self._pictures = pictures
        self._folder = Folder(folder, without=[path for path in (done, failed) if path], known=self._is_known)

    @property
    def turns(self) -> bool:
        """Whether its pictures are to be turned."""
        return self._rotate != 0

    def open(self) -> None:
        """Makes the folders for pictures that were taken. Raises SourceError."""
        self._folder.open()
        for key, folder in (("done", self._done), ("failed", self._failed)):
            if not folder:
                continue
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise SourceError(f"source.{key}: {folder}: {error.strerror}") from None
            if os.path.samefile(folder, self.name):
                raise SourceError(f"source.{key}: {folder} is the folder that pictures come into; name another")
        with suppress(EdgeDigitsError):  # then it is done when it is opened next
            self._forget_gone()

    def read(self) -> Frame | None:
        """The next picture that was not read yet."""
        frame = self._folder.read()
        return frame if frame is None or not self._rotate else turned(frame, self._rotate)

    def close(self) -> None:
        self._folder.close()

    def picture(self, path: str, *, failed: bool = False) -> tuple[str, str]:
        """What to remember a picture by that `read` gave: its path in the folder and its state.

        failed: whether it could not be read.
        """
        return self._key(path), FAILED_MARK * failed + self._folder.state(path)

    def done(self, path: str) -> None:
        """The picture's record is committed: moves it, if so configured."""
        self._put_away(path, self._done)

    def failed(self, path: str, reason: str) -> None:
        """The picture cannot be read: remembers that, says so, and moves it, if so configured. Raises StoreError."""
        self._pictures.mark_picture(*self.picture(path, failed=True))
        _log.warning("%s: %s", path, reason)
        self._put_away(path, self._failed)

    def again(self, path: str) -> None:
        """The picture's record could not be committed: `read` gives it once more."""
        self._folder.again(path)

    def _key(self, path: str) -> str:
        return os.path.relpath(path, self.name)

    def _is_known(self, path: str, state: str) -> bool:
        marked = self._pictures.picture_state(self._key(path))
        if marked not in (state, FAILED_MARK + state):
            return False
        self._move(path, self._done if marked == state else self._failed)  # what a crash left undone
        return True

    def _forget_gone(self) -> None:
        """Forgets pictures that somebody took out of the folder: in years they would fill the disk.

        Where none is left, the folder may be on a disk that is not there yet, and none is forgotten.
        """
        if any(self._is_there(path) for path in self._pictures.marked_pictures()):
            self._pictures.forget_pictures(
                path for path in self._pictures.marked_pictures() if not self._is_there(path)
            )

    def _is_there(self, path: str) -> bool:
        return os.path.lexists(os.path.join(self.name, path))

    def _put_away(self, path: str, folder: str) -> None:
        if self._folder.is_as_it_was(path):  # else it is a new picture, to be read
            self._move(path, folder)

    def _move(self, path: str, folder: str) -> None:
        if not folder:
            return
        target = os.path.join(folder, self._key(path))
        try:
            move(path, target)
        except OSError as error:
            # It is remembered, so it is not read twice; the next start tries again.
            _log.warning("%s: cannot be moved to %s: %s", path, folder, error.strerror or error)
            return
        with suppress(EdgeDigitsError):  # then one that is put back is not read again
            self._pictures.forget_pictures([self._key(path)])


def move(path: str, target: str) -> str:
    """Moves a file, to another file system too, and never over another one; returns where it is.

    Where the name is taken, a number is appended to it. A folder that is missing is made. Raises OSError.
    """
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        return _rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    part = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}{PART}")
    try:
        shutil.copy2(path, part)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        there = _rename(part, target)
    except OSError:
        with suppress(OSError):
            os.unlink(part)
        raise
    os.unlink(path)
    return there


def _rename(path: str, target: str) -> str:
    stem, suffix = os.path.splitext(target)
    for number in itertools.count(1):
        try:
            # A link fails where the name is taken; renaming would replace what is there.
            os.link(path, target, follow_symlinks=False)
        except FileExistsError:
            if os.path.samefile(path, target):  # a crash came between the two steps
                os.unlink(path)
                return target
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.ENOENT):
                raise
            with suppress(FileExistsError):
                _replace_own(path, target)
                return target
        else:
            os.unlink(path)
            return target
        target = f"{stem}-{number}{suffix}"
    raise AssertionError


def _replace_own(path: str, target: str) -> None:
    """Where there are no links: takes the name by an empty file first. Raises FileExistsError where it is taken."""
    Path(target).touch(exist_ok=False)
    try:
        os.replace(path, target)
    except OSError:
        os.unlink(target)
        raise

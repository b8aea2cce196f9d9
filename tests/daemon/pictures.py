"""What a source remembers of a folder's pictures, kept in memory."""

from collections.abc import Iterable, Iterator


class Memory:
    """As the store remembers them."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}

    def picture_state(self, path: str) -> str | None:
        return self.states.get(path)

    def mark_picture(self, path: str, state: str) -> None:
        self.states[path] = state

    def marked_pictures(self) -> Iterator[str]:
        return iter(list(self.states))

    def forget_pictures(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.states.pop(path, None)


class NoPictures(Memory):
    """Of a source that is no folder: nothing is to be remembered."""

    def mark_picture(self, path: str, state: str) -> None:
        raise AssertionError

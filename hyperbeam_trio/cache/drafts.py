"""Who wrote what nobody refers to yet, so that it can be taken back without harm to others."""

from __future__ import annotations

from collections.abc import Iterable


class Draft:
    """The store keys that one unfinished binary has brought."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self.keys: set[str] = set()

    def add(self, key: str) -> None:
        """Note a key that was not there, or only for drafts."""
        if key not in self.keys:
            self.keys.add(key)
            self._drafts.hold(key)

    def give_up(self) -> list[str]:
        """The keys that nobody else wants."""
        keys, self.keys = self.keys, set()
        return [key for key in keys if self._drafts.release(key)]


class Drafts:
    """The keys of all drafts of a cache. As many as there are parts under way."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._holders

    def __len__(self) -> int:
        return len(self._holders)

    def hold(self, key: str) -> None:
        """One more draft has a key."""
        self._holders[key] = self._holders.get(key, 0) + 1

    def adopt(self, keys: Iterable[str]) -> None:
        """Something refers to these keys from now on: no draft takes them back."""
        for key in keys:
            self._holders.pop(key, None)

    def release(self, key: str) -> bool:
        """A draft has a key no longer; whether it was the last, and the key is to go."""
        held = self._holders.get(key)
        if held is None:
            return False
        if held > 1:
            self._holders[key] = held - 1
            return False
        del self._holders[key]
        return True

"""What a client's runs have seen of its servers, for those that come after them."""
from __future__ import annotations

from collections.abc import Iterable


class Seen:
    """Shared by runs in any thread."""

    def __init__(self, were_there: bool) -> None:
        #: Whether any server has been reached.
        self.were_there = were_there
        self._away: set[str] = set()

    def there(self, server: str) -> None:
        """It takes work."""
        self.were_there = True
        self._away.discard(server)

    def away(self, servers: Iterable[str]) -> None:
        """They are lost, or say nothing."""
        self._away.update(servers)

    def sorted(self, servers: Iterable[str]) -> list[str]:
        """Those that are away come last, as the others may do without them."""
        return sorted(servers, key=lambda server: server in self._away)

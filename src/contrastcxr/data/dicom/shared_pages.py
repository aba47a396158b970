"""Memory that two processes share, so that a picture goes from one to the other without a pipe."""

from __future__ import annotations

import mmap
import os


class SharedPages:
    """An anonymous file in memory, by its descriptor; either side puts bytes in, the other gets them, in turns."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._pages: mmap.mmap | None = None

    @classmethod
    def create(cls) -> SharedPages | None:
        """Return new pages, or None where the system has no such files (it is Linux that has)."""
        if not hasattr(os, "memfd_create"):
            return None
        try:
            return cls(os.memfd_create("contrastcxr"))
        except OSError:
            return None

    def put(self, data: bytes | memoryview) -> None:
        """Copy bytes to the beginning of the pages, which grow to hold them."""
        if len(data):
            if os.fstat(self.descriptor).st_size < len(data):
                os.ftruncate(self.descriptor, len(data))
            self._mapped(len(data))[: len(data)] = data

    def get(self, length: int) -> bytes:
        """Return a copy of the first bytes."""
        return self._mapped(length)[:length] if length else b""

    def _mapped(self, length: int) -> mmap.mmap:
        if self._pages is None or len(self._pages) < length:
            self._pages = mmap.mmap(self.descriptor, 0)
        return self._pages

    def close(self) -> None:
        """Give the memory back."""
        if self._pages is not None:
            self._pages.close()
        os.close(self.descriptor)

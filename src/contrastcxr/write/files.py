"""Writing a file whole or not at all, for writers; rooms above this one import `contrastcxr.files`."""

from contrastcxr.files import atomic_write

__all__ = ["atomic_write"]

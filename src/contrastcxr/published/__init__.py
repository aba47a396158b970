"""The tables of the four papers, cell by cell as printed, with what must be known before they are compared."""

from contrastcxr.published.tables import TABLES, PublishedRow, PublishedTable, published_table

__all__ = ["TABLES", "PublishedRow", "PublishedTable", "published_table"]

"""contrastcxr reads chest radiographs by contrast. Research use only; not a medical device."""

__version__ = "0.1.0"

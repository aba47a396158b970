"""DICOM objects: opened, checked, decoded in a process of its own, and shown as a reader expects them."""

"""Simple measures of a picture, and where they lie among the pictures a model was trained on."""

"""What is kept on disk between runs: tables, pictures at the size of a model, the studies of phantoms."""

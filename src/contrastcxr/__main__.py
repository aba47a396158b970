"""`python -m contrastcxr` is the command `contrastcxr`."""

from contrastcxr.cli.main import main

if __name__ == "__main__":
    main()

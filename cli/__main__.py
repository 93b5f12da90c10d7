"""`python -m cli` is `meshmeter`."""

from cli.main import main

main()

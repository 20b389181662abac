"""Jupyter Book in a process that dies with its parent, the first argument: see render.py."""

import sys

from workflow.runs.execute import die_with

if __name__ == "__main__":
    die_with(int(sys.argv.pop(1)))
    from jupyter_book.cli.main import main

    main()

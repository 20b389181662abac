"""Learning dynamical systems by tokens and by structure: the library behind the companion.

Nothing is imported here: ``import dynlib.tokens.grid`` loads numpy, not torch, and a run
depends on the modules that it names and on no others.
"""

__version__ = "0.1.0"

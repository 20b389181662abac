"""What the machinery says when it cannot do what was asked."""


class Refused(ValueError):
    """A request that cannot be carried out, explained in one sentence."""

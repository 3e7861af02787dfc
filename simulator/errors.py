"""What the simulator refuses; the message is one line for the user.

What it raises else is a mistake of the program.
"""


class Refusal(ValueError):
    """A value that the simulator was given is not one that it can take."""


class RenderingError(RuntimeError):
    """The renderer cannot work on this machine; the message says what mends it."""


class DriveServerError(RuntimeError):
    """The drive server is not there, or does not answer as it must."""


class LostRoadError(RuntimeError):
    """The expert was thrown off the road for good."""


REFUSALS = (Refusal, RenderingError, DriveServerError, LostRoadError)

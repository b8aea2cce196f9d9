"""What can go wrong, each with a message of one line that tells a person what to do next."""


class EdgeDigitsError(Exception):
    """Base of all errors that this package raises on purpose."""


class PictureError(EdgeDigitsError):
    """A picture cannot be read: missing, not a picture, damaged or too large."""


class SourceError(EdgeDigitsError):
    """A camera, video, stream or folder gives no frames: it is not there, does not answer, or stopped."""


class ModelError(EdgeDigitsError):
    """A model file cannot be used: missing, damaged, or not a digit classifier."""


class UsageError(EdgeDigitsError):
    """The command line, an argument or the environment asks for something that does not exist."""


class MissingRuntimeError(EdgeDigitsError):
    """No TensorFlow Lite runtime is installed, or not the one asked for."""

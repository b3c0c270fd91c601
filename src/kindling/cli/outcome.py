"""How a job of Hydra's ended."""

from hydra.core.utils import JobReturn


def error_of(outcome: JobReturn) -> Exception | None:
    """Return the exception that ended a job, or None."""
    try:
        outcome.return_value  # noqa: B018  # raises it
    except Exception as error:
        return error
    return None

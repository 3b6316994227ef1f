"""The one kind of error that a user can cause: a sentence that says what is wrong, where, and what to do."""


class UserError(Exception):
    """Shown as it is, in the UI and on the command line (exit code 2), never with a stack trace."""

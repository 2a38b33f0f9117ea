"""What the Python clients share. PORT is the wall's."""
import contextlib
import os

PORT = int(os.environ["PORT"])
DSN = f"host=127.0.0.1 port={PORT} user=app dbname=app connect_timeout=10"


def options(tenant):
    """Every driver of libpq can send this."""
    return f"-c partywall.tenant={tenant}"


@contextlib.contextmanager
def raises(kind):
    """The block must raise this error."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised")

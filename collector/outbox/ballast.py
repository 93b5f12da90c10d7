"""Space held back for the day the disk is full.

On a full disk SQLite can neither delete nor checkpoint, so an outbox could not drain itself.
Giving up this file lets it.
"""

import errno
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


class Ballast:
    def __init__(self, path: Path, size: int) -> None:
        """Raises OSError, but not when the disk is full: then it is not held."""
        self._path = path
        self._size = size
        self.held = path.exists() and path.stat().st_size == size
        self.restore()
        if not self.held:
            log.error("The disk is full: there is no ballast", extra={"path": str(path)})

    def drop(self) -> None:
        if self.held:
            self._path.unlink(missing_ok=True)
            self.held = False
            log.error("The disk is full: the ballast is given up", extra={"path": str(self._path)})

    def restore(self) -> None:
        """Take the space again, if there is any now."""
        if self.held:
            return
        try:
            self._allocate()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        else:
            log.info("The ballast is held", extra={"path": str(self._path)})

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self.held = True

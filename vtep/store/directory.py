"""A directory that one process at a time may use, and whether other users could change what is in it.

The lock is on the directory itself (flock), so that it needs no file and works on a full disk. The kernel releases it when
the process ends, however it ends. Knows nothing of the files.
"""

import fcntl
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from vtep.errors import StateError

_LOCKS: Final = Path("/proc/locks")
"""The locks of the host, as proc_locks(5) has them. A held lock has eight words; a request that waits has "->" as well:

    1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF        pid 4711; device 08:01 in hexadecimal, inode 131
"""


class Directory:
    """One open directory."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it if it is not there; raise OSError if that cannot be."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lock_error = ""

    def lock(self) -> None:
        """Keep other processes away until this one ends; raise StateError with the pid of the one that has it.

        Two daemons would write the same files, and each would lose what the other wrote. On a file system without
        locks, the daemon starts all the same, and `dangers` reports it.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self._holder()
            holder = f"the daemon with pid {pid}" if pid else "another daemon"
            raise StateError(
                f"{self.path}: {holder} uses this directory; stop that one first, or set another node.state_dir"
            ) from None
        except OSError as error:
            self._lock_error = error.strerror or str(error)

    def _holder(self) -> int:
        """Return the pid that holds the lock; 0 if it cannot be seen from here, as from another PID namespace."""
        found = os.fstat(self._descriptor)
        device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        try:
            locks = [line.split() for line in _LOCKS.read_text(encoding="ascii").splitlines()]
        except OSError:
            return 0
        of_inode = [words for words in locks if len(words) == 8 and words[5].endswith(f":{found.st_ino}")]
        # Some file systems report another device there than stat does.
        of_device = [words for words in of_inode if words[5] == device] or of_inode
        return max((int(words[4]) for words in of_device if words[1] == "FLOCK"), default=0)

    def dangers(self) -> list[str]:
        """Say how other processes or users could change what is in the directory, and how to prevent that."""
        found = os.fstat(self._descriptor)
        dangers = []
        if self._lock_error:
            dangers.append(f"{self.path} cannot be locked ({self._lock_error}): start no second daemon with it")
        if found.st_uid not in (0, os.geteuid()):
            dangers.append(
                f"{self.path} belongs to user {_name(found.st_uid)}, who can remove its files; "
                f"run: chown {_name(os.geteuid())} {self.path}"
            )
        if found.st_mode & 0o022:
            mode = f"{stat.S_IMODE(found.st_mode):04o}"
            dangers.append(f"other users may write to {self.path} (mode {mode}); run: chmod go-w {self.path}")
        return dangers

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)

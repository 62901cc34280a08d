"""Compression of the older files: in a thread of its own with the lowest priority, which runs while there is work."""

from __future__ import annotations

import gzip
import os
import threading
from contextlib import suppress

from . import rotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .log import Log

LOWEST_PRIORITY = 19

LEVEL = 6

CHUNK = 2**18


class Compressor:
    """Compresses the older files of those logs that it is given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[str, Log] = {}
        """By path, in the order in which they came."""
        self._is_running = False
        self._is_closing = False

    def add(self, log: Log) -> None:
        """Compress what older files of that log are not compressed yet."""
        with self._lock:
            self._logs[log.settings.path] = log
            if not self._is_running and not self._is_closing:
                self._is_running = True
                threading.Thread(target=self._run, name="logs, compression", daemon=True).start()

    def close(self) -> None:
        """Begin nothing more, and leave what is begun: the next one begins it anew."""
        self._is_closing = True

    def _run(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
        while True:
            with self._lock:
                if not self._logs or self._is_closing:
                    self._is_running = False
                    return
                log = self._logs.pop(next(iter(self._logs)))
            try:
                while self._compress_one(log):
                    pass
            except OSError as error:
                # It stays as it is, and is tried again after the next rotation.
                if self._is_closing:
                    return
                log.tell(f"cannot compress the older files of {log.settings.path}: {error.strerror or error}")

    def _compress_one(self, log: Log) -> bool:
        """Compress the newest older file that is not compressed; false where there is none."""
        if self._is_closing:
            return False
        path = log.settings.path
        with log.names:
            plain = [name for _, name in rotation.rotated(path) if not name.endswith(rotation.COMPRESSED)]
            if not plain:
                return False
            source = os.open(plain[0], os.O_RDONLY | os.O_CLOEXEC)
        beside = rotation.compressing_path(path)
        try:
            before = os.fstat(source)
            after = self._write(source, before, beside)
            with log.names:
                self._replace(log, beside, before.st_ino, after)
        finally:
            os.close(source)
            with suppress(FileNotFoundError):
                os.unlink(beside)
        return True

    def _write(self, source: int, before: os.stat_result, beside: str) -> int:
        """Write the compressed file, and return its inode."""
        with suppress(FileNotFoundError):
            os.unlink(beside)
        target = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(target, "wb") as file:
            # By the name in its header, a reader who has the other file open knows it again: see parts.
            with gzip.GzipFile(f"log.{before.st_ino}", "wb", LEVEL, file) as packed:
                while not self._is_closing and (text := os.read(source, CHUNK)):
                    packed.write(text)
            file.flush()
            if self._is_closing:
                raise OSError(0, "the supervisor ends")
            os.fchmod(target, before.st_mode & 0o777)
            os.fsync(target)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
            return os.fstat(target).st_ino

    def _replace(self, log: Log, beside: str, before: int, after: int) -> None:
        """Put it in the place of the other, which may have another number by now, or be gone."""
        for _, name in rotation.rotated(log.settings.path):
            if os.stat(name).st_ino == before:
                log.index.move(before, after)
                os.rename(beside, name + rotation.COMPRESSED)
                os.unlink(name)
                return

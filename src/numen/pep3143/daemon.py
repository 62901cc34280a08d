"""`daemon.daemon`: every name that python-daemon 3.1 has there. Each is made in the module it comes from."""

from __future__ import annotations

from .context import DaemonContext
from .errors import DaemonError, DaemonOSEnvironmentError, DaemonProcessDetachError
from .origin import (
    is_detach_process_context_required,
    is_process_started_by_init,
    is_process_started_by_superserver,
    is_socket,
    is_socket_file,
)
from .steps import (
    change_file_creation_mask,
    change_process_owner,
    change_root_directory,
    change_working_directory,
    detach_process_context,
    get_username_for_uid,
    make_default_signal_map,
    prevent_core_dump,
    register_atexit_function,
    set_signal_handlers,
)
from .streams import (
    MAXFD,
    close_all_open_files,
    close_file_descriptor_if_open,
    get_maximum_file_descriptors,
    get_stream_file_descriptors,
    redirect_stream,
)

__all__ = [
    "MAXFD",
    "DaemonContext",
    "DaemonError",
    "DaemonOSEnvironmentError",
    "DaemonProcessDetachError",
    "change_file_creation_mask",
    "change_process_owner",
    "change_root_directory",
    "change_working_directory",
    "close_all_open_files",
    "close_file_descriptor_if_open",
    "detach_process_context",
    "get_maximum_file_descriptors",
    "get_stream_file_descriptors",
    "get_username_for_uid",
    "is_detach_process_context_required",
    "is_process_started_by_init",
    "is_process_started_by_superserver",
    "is_socket",
    "is_socket_file",
    "make_default_signal_map",
    "prevent_core_dump",
    "redirect_stream",
    "register_atexit_function",
    "set_signal_handlers",
]

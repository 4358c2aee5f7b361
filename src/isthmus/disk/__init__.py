"""Files and folders on disk: written completely or not at all, read consistently while other processes write, with
errors of the system reported as such."""

from isthmus.disk.causes import told_by_system
from isthmus.disk.files import allocate, check_file, check_new_file, is_stream, written
from isthmus.disk.folders import check_writable, new_folder, replaced
from isthmus.disk.scratch import private_folder, remove, sweep_folder
from isthmus.disk.steady import steadily

__all__ = [
    "allocate",
    "check_file",
    "check_new_file",
    "check_writable",
    "is_stream",
    "new_folder",
    "private_folder",
    "remove",
    "replaced",
    "steadily",
    "sweep_folder",
    "told_by_system",
    "written",
]

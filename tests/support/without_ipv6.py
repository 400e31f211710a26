"""Runs a command as on a host whose kernel has no IPv6: socket(AF_INET6, ...) is not supported.

A seccomp filter answers that one system call; only the command and its children have it.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

_SYSCALL = {"x86_64": 41, "aarch64": 198}
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _FIRST_ARGUMENT = 0, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def forbid_ipv6() -> None:
    steps = (
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_EQUAL, 0, 3, _SYSCALL[platform.machine()]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_EQUAL, 0, 1, socket.AF_INET6),
        (_RETURN, 0, 0, _ERROR | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    program = _Program(len(steps), code)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if prctl(*call):
            raise OSError(ctypes.get_errno(), "seccomp cannot be used here")


if __name__ == "__main__":
    forbid_ipv6()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the command takes this process over

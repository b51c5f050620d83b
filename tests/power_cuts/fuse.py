"""Mounts a `Disk` by FUSE. Speaks the kernel's protocol itself (linux/fuse.h, 7.31): a test tool without libraries.

Nothing is cached by the kernel: every operation of the process under test arrives here, one after the other.
"""

import ctypes
import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import threading

from disk import File, Folder, look_up

LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME = 1, 2, 3, 4, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 14, 15, 16, 17, 18, 20
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, CREATE = 25, 26, 27, 28, 29, 30, 35
INTERRUPT, DESTROY, BATCH_FORGET, RENAME2 = 36, 38, 42, 45

NAMES = {
    LOOKUP: "lookup", GETATTR: "getattr", SETATTR: "setattr", MKDIR: "mkdir", UNLINK: "unlink", RMDIR: "rmdir",
    RENAME: "rename", RENAME2: "rename", OPEN: "open", READ: "read", WRITE: "write", FSYNC: "fsync", OPENDIR: "opendir",
    READDIR: "readdir", FSYNCDIR: "fsyncdir", CREATE: "create",
}  # fmt: skip
# What changes the disk, or makes a change durable.
CHANGES = {"setattr", "mkdir", "unlink", "rmdir", "rename", "write", "fsync", "fsyncdir", "create"}

HEADER = struct.Struct("<IIQQIIII")
MAX_WRITE = 128 << 10
NO_REPLY = object()


class Mount:
    """A mounted disk. `before(name, node)` is called before each operation, and `after(name)` once it is done; both may raise.

    If `before` returns true, the operation is not done, and succeeds.
    """

    def __init__(self, disk, mount_point, before, after):
        self.disk, self.mount_point = disk, mount_point
        self.before, self.after = before, after
        self.nodes = {1: disk.root}
        self.numbers = {disk.root: 1}
        self.dead = False
        # An error of this program.
        self.crash = None
        self.fd = mount(mount_point)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def unmount(self):
        subprocess.run(["umount", "-l", self.mount_point] if os.geteuid() == 0 else ["fusermount3", "-uz", self.mount_point], check=True)
        self.thread.join()
        os.close(self.fd)
        if self.crash:
            raise self.crash

    def _serve(self):
        while True:
            try:
                request = os.read(self.fd, MAX_WRITE + (1 << 16))
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                # ENODEV: unmounted.
                return
            _, opcode, unique, number, *_ = HEADER.unpack_from(request)
            code, reply = 0, b""
            try:
                reply = self._answer(opcode, number, request[HEADER.size :])
            except OSError as error:
                code = -error.errno
            except Exception as error:
                self.crash, code = error, -errno.EIO
            if reply is NO_REPLY:
                continue
            reply = b"" if code else reply
            try:
                os.write(self.fd, struct.pack("<IiQ", 16 + len(reply), code, unique) + reply)
            except OSError as error:
                # ENOENT: the request was interrupted.
                if error.errno != errno.ENOENT:
                    return

    def _answer(self, opcode, number, body):
        if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            return NO_REPLY
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 1 << 5, 12, 9, MAX_WRITE, 1, 32, 0, 0)
        if opcode in (RELEASE, RELEASEDIR, DESTROY):
            return b""
        if self.dead:
            raise OSError(errno.EIO, "no power")
        if opcode == STATFS:
            return struct.pack("<QQQQQIII28x", 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4096, 255, 4096)
        name = NAMES.get(opcode)
        if name is None:
            raise OSError(errno.ENOSYS, str(opcode))
        node = self.nodes[number]
        if self.before(name, node):
            return b""
        reply = getattr(self, f"_{name}")(node, body, opcode)
        self.after(name)
        return reply

    def _number(self, node):
        if node not in self.numbers:
            self.numbers[node] = len(self.numbers) + 1
            self.nodes[self.numbers[node]] = node
        return self.numbers[node]

    def _attributes(self, node):
        size = len(node.now) if isinstance(node, File) else 4096
        mode = stat.S_IFREG | 0o644 if isinstance(node, File) else stat.S_IFDIR | 0o755
        owner = os.getuid(), os.getgid()
        return struct.pack("<6Q10I", self._number(node), size, -(-size // 512), 0, 0, 0, 0, 0, 0, mode, 1, *owner, 0, 4096, 0)

    def _entry(self, node):
        # Valid for no time: the kernel asks again.
        return struct.pack("<QQQQII", self._number(node), 0, 0, 0, 0, 0) + self._attributes(node)

    def _lookup(self, folder, body, _):
        return self._entry(look_up(folder, text(body)))

    def _getattr(self, node, _body, _opcode):
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def _setattr(self, node, body, _):
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        if valid & 8:
            node.truncate(size)
        return struct.pack("<QII", 0, 0, 0) + self._attributes(node)

    def _mkdir(self, folder, body, _):
        return self._entry(self.disk.add(folder, text(body[8:]), Folder()))

    def _create(self, folder, body, _):
        flags = struct.unpack_from("<I", body)[0]
        name = text(body[16:])
        if name in folder.names and not flags & os.O_EXCL:
            node = folder.names[name]
        else:
            node = self.disk.add(folder, name, File())
        return self._entry(node) + struct.pack("<QII", 0, 1, 0)

    def _unlink(self, folder, body, _):
        self.disk.remove(folder, text(body), is_folder=False)
        return b""

    def _rmdir(self, folder, body, _):
        self.disk.remove(folder, text(body), is_folder=True)
        return b""

    def _rename(self, folder, body, opcode):
        target, flags = struct.unpack_from("<QI", body)
        if opcode == RENAME2 and flags:
            raise OSError(errno.EINVAL, "flags")
        old, new, _ = body[16 if opcode == RENAME2 else 8 :].split(b"\0", 2)
        self.disk.rename(folder, old.decode(), self.nodes[target], new.decode())
        return b""

    def _open(self, _node, _body, _opcode):
        # Direct: no pages in the kernel.
        return struct.pack("<QII", 0, 1, 0)

    def _opendir(self, _node, _body, _opcode):
        return struct.pack("<QII", 0, 0, 0)

    def _read(self, file, body, _):
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(file.now[offset : offset + size])

    def _write(self, file, body, _):
        _, offset, size = struct.unpack_from("<QQI", body)
        file.write(offset, body[40 : 40 + size])
        return struct.pack("<II", size, 0)

    def _fsync(self, file, _body, _opcode):
        file.sync()
        return b""

    def _fsyncdir(self, folder, _body, _opcode):
        self.disk.sync_folder(folder)
        return b""

    def _readdir(self, folder, body, _):
        _, offset, size = struct.unpack_from("<QQI", body)
        reply = b""
        entries = [(".", folder), ("..", folder), *sorted(folder.names.items())]
        for place, (name, node) in list(enumerate(entries))[offset:]:
            encoded = name.encode()
            kind = stat.S_IFREG if isinstance(node, File) else stat.S_IFDIR
            entry = struct.pack("<QQII", self._number(node), place + 1, len(encoded), kind >> 12) + encoded
            entry += bytes(-len(entry) % 8)
            if len(reply) + len(entry) > size:
                break
            reply += entry
        return reply


def text(body):
    return body.split(b"\0", 1)[0].decode()


def mount(mount_point):
    """The descriptor of the kernel's requests. As root by mount(2), otherwise by Debian's `fusermount3`."""
    if os.geteuid() == 0:
        fd = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"power_cuts", os.fsencode(mount_point), b"fuse", ctypes.c_ulong(0), options) != 0:
            code = ctypes.get_errno()
            os.close(fd)
            raise OSError(code, f"cannot mount FUSE: {os.strerror(code)}")
        return fd
    if shutil.which("fusermount3") is None:
        raise OSError(errno.ENOENT, "cannot mount FUSE: `fusermount3` is missing (Debian: apt-get install fuse3)")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environment = os.environ | {"_FUSE_COMMFD": str(theirs.fileno())}
        command = ["fusermount3", "-o", "fsname=power_cuts,default_permissions", "--", mount_point]
        subprocess.run(command, env=environment, pass_fds=[theirs.fileno()], check=True)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        return fds[0]

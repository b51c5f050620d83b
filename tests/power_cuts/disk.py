"""A disk with a volatile cache, in memory: what POSIX promises to be durable, and nothing more.

Content is durable once its file was synced, a name once its folder was. A rename between folders is durable once both folders were
synced; it is there whole or not at all, as on every file system with a journal. What is not durable when the power fails may be
there or not: any subset of the names, and of every file any of its unsynced writes, torn at sectors of 512 bytes.
"""

import errno
import os
from dataclasses import dataclass, field

SECTOR = 512


class File:
    def __init__(self, durable=b""):
        self.durable = bytes(durable)
        self.now = bytearray(durable)
        # Writes (offset, bytes) and truncations (length, None) that are not durable.
        self.unsynced = []

    def write(self, offset, data):
        write(self.now, offset, data)
        self.unsynced.append((offset, data))

    def truncate(self, length):
        truncate(self.now, length)
        self.unsynced.append((length, None))

    def sync(self):
        self.durable = self.after(self.unsynced)
        self.unsynced = []

    def fail_sync(self):
        """As Linux does: the pages count as clean afterwards, and no later sync writes them."""
        self.unsynced = []

    def after(self, changes):
        content = bytearray(self.durable)
        for offset, data in changes:
            truncate(content, offset) if data is None else write(content, offset, data)
        return bytes(content)

    def survivor(self, random):
        """A content that the disk may have after a power cut."""
        if not self.unsynced:
            return self.durable
        fate = random.choice(["none", "all", "prefix", "sectors", "sectors", "length"])
        if fate == "none":
            return self.durable
        if fate == "all":
            return self.after(self.unsynced)
        if fate == "length":
            # The length is on the disk, the blocks are not: zeros.
            return (self.durable + bytes(len(self.now)))[: len(self.now)]
        if fate == "prefix":
            last = random.randrange(len(self.unsynced))
            offset, data = self.unsynced[last]
            cut = [] if data is None else [(offset, data[: random.randrange(len(data) + 1) // SECTOR * SECTOR])]
            return self.after(self.unsynced[:last] + cut)
        share = random.random()
        kept = []
        for offset, data in self.unsynced:
            pieces = [(offset, None)] if data is None else sectors(offset, data)
            kept += [piece for piece in pieces if random.random() < share]
        content = self.after(kept)
        if random.random() < 0.5:
            content = (content + bytes(len(self.now)))[: len(self.now)]
        return content


def write(content, offset, data):
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def truncate(content, length):
    del content[length:]
    content.extend(bytes(length - len(content)))


def sectors(offset, data):
    """The pieces of a write that lie in one sector each: a sector is written whole or not at all."""
    begin = 0
    while begin < len(data):
        end = min(len(data), (offset + begin) // SECTOR * SECTOR + SECTOR - offset)
        yield offset + begin, data[begin:end]
        begin = end


class Folder:
    def __init__(self):
        self.names = {}


@dataclass
class Change:
    """Names that change together: (folder, name) and what it stands for, or None."""

    names: list
    unsynced: set = field(default_factory=set)


class Disk:
    def __init__(self, image):
        """A disk with the folders and files below `image`, all durable."""
        self.root = Folder()
        self.durable = {}
        self.changes = []
        self._load(self.root, image)

    def _load(self, folder, path):
        for entry in os.scandir(path):
            node = Folder() if entry.is_dir() else File(open(entry.path, "rb").read())
            folder.names[entry.name] = node
            self.durable[folder, entry.name] = node
            if entry.is_dir():
                self._load(node, entry.path)

    def change(self, *names):
        for folder, name, node in names:
            put(folder.names, name, node)
        self.changes.append(Change(list(names), {folder for folder, _, _ in names}))

    def add(self, folder, name, node):
        if name in folder.names:
            raise OSError(errno.EEXIST, name)
        self.change((folder, name, node))
        return node

    def remove(self, folder, name, is_folder):
        node = look_up(folder, name)
        if is_folder != isinstance(node, Folder):
            raise OSError(errno.ENOTDIR if is_folder else errno.EISDIR, name)
        if is_folder and node.names:
            raise OSError(errno.ENOTEMPTY, name)
        self.change((folder, name, None))

    def rename(self, folder, name, new_folder, new_name):
        node = look_up(folder, name)
        old = new_folder.names.get(new_name)
        if isinstance(old, Folder) and old.names:
            raise OSError(errno.ENOTEMPTY, new_name)
        self.change((folder, name, None), (new_folder, new_name, node))

    def sync_folder(self, folder):
        waiting = []
        for change in self.changes:
            change.unsynced.discard(folder)
            if change.unsynced:
                waiting.append(change)
                continue
            for place, name, node in change.names:
                put(self.durable, (place, name), node)
                # What an older change would do to the name is over.
                for older in waiting:
                    older.names = [other for other in older.names if other[:2] != (place, name)]
        self.changes = waiting

    def sync_all(self):
        """What the system does sooner or later: an unmount, or a minute without a power cut."""
        folders, files = [self.root], []
        for folder in folders:
            folders += [node for node in folder.names.values() if isinstance(node, Folder)]
            files += [node for node in folder.names.values() if isinstance(node, File)]
        for change in self.changes:
            for folder, name, node in change.names:
                put(self.durable, (folder, name), node)
        self.changes = []
        for file in files:
            file.sync()

    def unsynced(self):
        """How many changes of names, and of content that has a name, a power cut may lose."""
        files = {node for node in self.durable.values() if isinstance(node, File)}
        files |= {node for change in self.changes for _, _, node in change.names if isinstance(node, File)}
        return len(self.changes) + sum(bool(file.unsynced) for file in files)

    def cut(self, random):
        """Loses what is not durable, wholly or in part."""
        fate = random.choice(["none", "all", "prefix", "subset", "subset"])
        if fate == "none":
            survive = []
        elif fate == "all":
            survive = self.changes
        elif fate == "prefix":
            survive = self.changes[: random.randrange(len(self.changes) + 1)]
        else:
            share = random.random()
            survive = [change for change in self.changes if random.random() < share]
        for change in survive:
            for folder, name, node in change.names:
                put(self.durable, (folder, name), node)
        self.changes = []
        lost = random.random() < 0.25
        for file in {id(node): node for node in self.durable.values() if isinstance(node, File)}.values():
            file.durable = file.durable if lost else file.survivor(random)
            file.unsynced = []

    def save(self, image):
        """Writes what is durable below `image`, an empty folder."""
        children = {}
        for (folder, name), node in self.durable.items():
            children.setdefault(folder, []).append((name, node))

        def save(folder, path):
            for name, node in children.get(folder, []):
                below = os.path.join(path, name)
                if isinstance(node, Folder):
                    os.mkdir(below)
                    save(node, below)
                else:
                    with open(below, "wb") as file:
                        file.write(node.durable)

        save(self.root, image)


def look_up(folder, name):
    if name not in folder.names:
        raise OSError(errno.ENOENT, name)
    return folder.names[name]


def put(names, key, node):
    if node is None:
        names.pop(key, None)
    else:
        names[key] = node

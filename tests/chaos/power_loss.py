"""What a disk may hold after a power cut, from the journal that power_loss.c kept.

The model is POSIX's, not one file system's. Only fsync or fdatasync of a file makes its bytes and
its size safe; only fsync of a folder makes the names in it safe, also the name of a new folder.
What was not synced may be there or not:

    "nothing"   all of it is lost
    "prefix"    what came before some moment is there, the write at that moment torn at 512 bytes:
                a journalling file system in its most careful mode
    "any"       each change of a name by chance, each 4 KiB page by chance, any size between the
                synced and the last one; what was never written reads as zeros

Of changes to one name, none is kept after one that is lost. A rename keeps a file: it has its old
name, its new one, or, between two folders, both.
"""

import os
import pathlib
import struct

STYLES = ("nothing", "prefix", "any")
SECTOR, PAGE = 512, 4096
HEAD = struct.Struct("<IIIIQQQ")
CREATE, RESIZE, WRITE, RENAME, LINK, UNLINK, MKDIR, RMDIR, SYNC, SYNC_FOLDER = range(1, 11)


def is_loose(name):
    """Logs for people and lock files: written by the C library, and nobody trusts them."""
    return name in ("LOCK", "LOG") or name.startswith("LOG.old")


class File:
    """Most never change, and are never copied: what is returned may belong to the file."""

    def __init__(self, content=b""):
        self.durable, self.pending = content, []  # (number, offset, bytes or None: size)

    def sync(self, covers):
        done = [change for change in self.pending if change[0] < covers]
        if done and isinstance(self.durable, bytes):
            self.durable = bytearray(self.durable)
        apply(self.durable, done)
        self.pending = [change for change in self.pending if change[0] >= covers]

    def last(self):
        return apply(bytearray(self.durable), self.pending) if self.pending else self.durable

    def after_cut(self, style, moment, choice):
        if style == "nothing" or not self.pending:
            return self.durable
        if style == "prefix":
            return self.torn(moment, choice)
        last = self.last()
        low, high = sorted((len(self.durable), len(last)))
        size = choice.choice((low, high, choice.randint(low, high)))
        kept = choice.choice((0.1, 0.5, 0.9))
        pages = []
        for at in range(0, size, PAGE):
            source = last if choice.random() < kept else self.durable
            pages.append(bytes(source[at:at + PAGE]).ljust(min(PAGE, size - at), b"\0"))
        return b"".join(page[:size - i * PAGE] for i, page in enumerate(pages))

    def torn(self, moment, choice):
        before = [change for change in self.pending if change[0] < moment]
        content = apply(bytearray(self.durable), before)
        for number, offset, data in self.pending:
            if number == moment and data is not None:
                cut = choice.randrange(0, len(data) + 1, SECTOR)
                apply(content, [(number, offset, data[:cut])])
        return content


def read_bytes(path):
    return pathlib.Path(path).read_bytes()


def apply(content, changes):
    for _, offset, data in changes:
        end = offset if data is None else offset + len(data)
        if end > len(content):
            content.extend(bytes(end - len(content)))
        if data is None:
            del content[end:]
        else:
            content[offset:end] = data
    return content


class Change:
    """Of names in one folder. `needs` is another that must survive if this one does."""

    def __init__(self, number, names, needs=None):
        self.number, self.names, self.needs, self.safe = number, names, needs, False


class Folder:
    def __init__(self):
        self.durable, self.now, self.pending = {}, {}, []

    def change(self, number, names, needs=None):
        self.pending.append(Change(number, names, needs))
        update(self.now, names)
        return self.pending[-1]

    def sync(self, covers):
        for change in self.pending:
            if change.number < covers:
                update(self.durable, change.names)
                change.safe = True
        self.pending = [change for change in self.pending if not change.safe]


def update(entries, names):
    for name, node in names.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


class Disk:
    """The files below a folder: as they are now, all of it taken for safe, and then as the journal
    says. What was just written there, {path: bytes}, need not be read again."""

    def __init__(self, folder, written=()):
        self.folder = pathlib.Path(folder)
        self.files, self.folders, self.count = {}, [], 0
        self.root = self._read(self.folder, "", dict(written))

    def _read(self, path, prefix, written):
        folder = self._new_folder()
        for entry in os.scandir(path):
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                folder.now[entry.name] = self._read(entry.path, name + "/", written)
            elif entry.is_file(follow_symlinks=False):
                inode = entry.inode()
                if inode not in self.files:
                    there = name in written
                    self.files[inode] = File(written[name] if there else read_bytes(entry.path))
                folder.now[entry.name] = self.files[inode]
        folder.durable = dict(folder.now)
        return folder

    def _new_folder(self):
        self.folders.append(Folder())
        return self.folders[-1]

    # -- the journal

    def replay(self, journal):
        data = pathlib.Path(journal).read_bytes() if os.path.exists(journal) else b""
        at = 0
        while at + HEAD.size <= len(data):
            kind, path_bytes, to_bytes, _, inode, offset, length = HEAD.unpack_from(data, at)
            at += HEAD.size
            end = at + path_bytes + to_bytes + length
            if end > len(data):
                break  # the process was killed in the middle of it
            path = data[at:at + path_bytes].decode()
            to = data[at + path_bytes:at + path_bytes + to_bytes].decode()
            self._one(kind, path, to, inode, offset, data[end - length:end])
            self.count += 1
            at = end

    def _place(self, path):
        """The folder that a path is in, and its name there."""
        parts = os.path.relpath(os.path.normpath(path), self.folder).split("/")
        folder = self.root
        for part in parts[:-1]:
            folder = folder.now[part]
        return folder, parts[-1]

    def _one(self, kind, path, to, inode, offset, data):
        number = self.count
        if kind in (WRITE, RESIZE):
            if inode in self.files:
                self.files[inode].pending.append((number, offset, data if kind == WRITE else None))
        elif kind == SYNC:
            self.files[inode].sync(offset)
        elif kind == SYNC_FOLDER:
            folder, name = self._place(path)
            (self.root if name == "." else folder.now[name]).sync(offset)
        elif kind == CREATE:
            self.files[inode] = File()
            folder, name = self._place(path)
            folder.change(number, {name: self.files[inode]})
        elif kind == MKDIR:
            folder, name = self._place(path)
            folder.change(number, {name: self._new_folder()})
        elif kind in (UNLINK, RMDIR):
            folder, name = self._place(path)
            if name in folder.now:  # not a socket
                folder.change(number, {name: None})
        else:
            self._two_names(number, kind, self._place(path), self._place(to))

    def _two_names(self, number, kind, source, target):
        (folder, name), (new_folder, new_name) = source, target
        node = folder.now[name]
        if kind == LINK:
            new_folder.change(number, {new_name: node})
        elif folder is new_folder:
            folder.change(number, {name: None, new_name: node})
        else:
            added = new_folder.change(number, {new_name: node})
            folder.change(number, {name: None}, needs=added)

    # -- what there is

    def last(self):
        """{path: bytes, or None for a folder}, had nothing been lost."""
        return self._tree(self.root, lambda folder: folder.now, lambda file: file.last())

    def after_cut(self, style, choice):
        """The same, after a power cut."""
        moment = choice.randint(0, self.count)
        rate = choice.choice((0.1, 0.5, 0.9))
        keep = {"nothing": lambda change: False,
                "prefix": lambda change: change.number < moment,
                "any": lambda change: choice.random() < rate}[style]
        entries = self._surviving_names(keep)
        return self._tree(self.root, lambda folder: entries[id(folder)],
                          lambda file: bytes(file.after_cut(style, moment, choice)))

    def _surviving_names(self, keep):
        entries = {id(folder): dict(folder.durable) for folder in self.folders}
        lost = {id(folder): set() for folder in self.folders}
        kept = set()
        pending = ((change, id(folder)) for folder in self.folders for change in folder.pending)
        for change, where in sorted(pending, key=lambda pair: (pair[0].number,
                                                               pair[0].needs is not None)):
            needed = change.needs is None or change.needs.safe or change.needs in kept
            if needed and keep(change) and not lost[where] & set(change.names):
                update(entries[where], change.names)
                kept.add(change)
            else:
                lost[where] |= set(change.names)
        return entries

    def _tree(self, root, names_of, content_of):
        tree, contents = {}, {}

        def walk(folder, prefix):
            for name, node in names_of(folder).items():
                if isinstance(node, Folder):
                    tree[prefix + name] = None
                    walk(node, prefix + name + "/")
                elif not is_loose(name):
                    if id(node) not in contents:
                        contents[id(node)] = content_of(node)
                    tree[prefix + name] = contents[id(node)]
        walk(root, "")
        return tree


def found(folder):
    """{path: bytes, or None for a folder} of what lies there."""
    tree = {}
    for where, folders, files in os.walk(folder):
        prefix = os.path.relpath(where, folder) + "/"
        prefix = "" if prefix == "./" else prefix
        tree.update((prefix + name, None) for name in folders)
        for name in files:
            path = os.path.join(where, name)
            if not is_loose(name) and os.path.isfile(path):
                tree[prefix + name] = read_bytes(path)
    return tree


def write_back(folder, tree, there):
    """Makes the folder, which holds `there`, hold `tree` instead. Logs and locks stay where their
    folder does."""
    folder = pathlib.Path(folder)
    for where, folders, files in os.walk(folder, topdown=False):
        prefix = os.path.relpath(where, folder) + "/"
        prefix = "" if prefix == "./" else prefix
        for name in files:
            stays = is_loose(name) and (prefix == "" or prefix[:-1] in tree)
            if not stays and tree.get(prefix + name) is None:
                os.unlink(os.path.join(where, name))
        for name in folders:
            if prefix + name not in tree:
                os.rmdir(os.path.join(where, name))
    for path, content in sorted(tree.items()):
        target = folder / path
        if content is None:
            target.mkdir(mode=0o700, exist_ok=True)
        elif there.get(path) != content:
            target.write_bytes(content)
            target.chmod(0o600)


def differences(tree, other):
    """Paths at which they differ."""
    return sorted(path for path in tree.keys() | other.keys()
                  if path not in tree or path not in other or tree[path] != other[path])

"""Files written whole, and on the disk under their name."""

import os
import stat

import pytest

from parity.atomic_write import write_atomic


def test_the_folder_is_brought_to_the_disk_after_the_file_has_its_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.json", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((os.fstat(descriptor), path.exists())))
    write_atomic(path, "x")
    (file, before), (folder, after) = seen
    assert stat.S_ISREG(file.st_mode)
    assert not before
    assert folder.st_ino == tmp_path.stat().st_ino
    assert after


def test_a_file_system_that_cannot_sync_folders_keeps_the_file(tmp_path, monkeypatch):
    synced = os.fsync

    def refuses_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError("not supported")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", refuses_folders)
    write_atomic(tmp_path / "a.json", "x")
    assert (tmp_path / "a.json").read_text() == "x"


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomic(path, "old")

    def full(descriptor):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]

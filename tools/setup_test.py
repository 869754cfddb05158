"""Tests of set-up and of the test driver that need no network and no build."""

import hashlib
import json
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import prerequisites
import setup
import test as driver


class Pins(unittest.TestCase):
    """The committed pins are whole."""

    def test_every_file_is_pinned_for_every_platform(self):
        table = json.loads((setup.PACKAGES / "artefacts.json").read_text(encoding="utf-8"))
        for target, file in table["files"].items():
            self.assertEqual(sorted(file["sha256"]), table["platforms"], target)
            self.assertIn(file["package"], setup.lock_entries(file["group"]), target)

    def test_every_requirement_has_an_exact_version_and_a_hash(self):
        for group in ("runtime", "test", "venv"):
            entries = setup.lock_entries(group)
            self.assertTrue(entries, group)
            for name, entry in entries.items():
                self.assertRegex(entry, rf"^{name}==[\w.]+ \\\n    --hash=sha256:[0-9a-f]{{64}}", name)

    def test_no_address_of_an_index_is_written_down(self):
        for path in setup.PACKAGES.iterdir():
            self.assertNotIn("://", path.read_text(encoding="utf-8"), path.name)


class Cached(unittest.TestCase):
    """A file in the cache counts only when it is the pinned one."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = setup.Cache(Path(folder.name))
        self.path = self.cache.root / "tool"
        self.path.write_bytes(b"right")
        self.digest = hashlib.sha256(b"right").hexdigest()

    def test_a_damaged_file_is_noticed_although_it_was_verified_before(self):
        self.cache.remember({"tool": [self.digest, *setup.fingerprint(self.path)]})
        self.assertTrue(self.cache.holds("tool", self.digest, self.cache.load()))
        self.path.write_bytes(b"wrong")
        self.assertFalse(self.cache.holds("tool", self.digest, self.cache.load()))

    def test_an_unchanged_file_is_not_read_again(self):
        self.cache.remember({"tool": [self.digest, *setup.fingerprint(self.path)]})
        with mock.patch.object(setup, "sha256_of", side_effect=AssertionError("read again")):
            self.assertTrue(self.cache.holds("tool", self.digest, self.cache.load()))

    def test_a_new_pin_makes_the_old_file_wrong(self):
        self.cache.remember({"tool": [self.digest, *setup.fingerprint(self.path)]})
        self.assertFalse(self.cache.holds("tool", "0" * 64, self.cache.load()))

    def test_an_absent_file_and_an_unreadable_memory_are_not_errors(self):
        self.cache.stamp.write_text("{ half", encoding="utf-8")
        self.assertFalse(self.cache.holds("nothing", self.digest, self.cache.load()))

    def test_the_cache_moves_with_its_variable(self):
        with mock.patch.dict(os.environ, {"TAW_CACHE": str(self.cache.root)}):
            self.assertEqual(setup.cache_root(), self.cache.root)


class Prerequisites(unittest.TestCase):
    """A bare machine is told everything at once."""

    def test_an_empty_path_reports_every_missing_program_with_a_remedy(self):
        with tempfile.TemporaryDirectory() as empty, mock.patch.dict(os.environ, {"PATH": empty, "CC": "cc"}):
            found = "\n".join(prerequisites.problems(group_test=True))
        for word in ("Rust 1.", "C compiler", "make"):
            self.assertIn(word, found)


class Postgres(unittest.TestCase):
    """PostgreSQL's programs are found where they are, and missing ones are skipped tests and not passed ones."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def install(self, place):
        """Puts the programs into a folder."""
        for program in ("initdb", "postgres"):
            path = self.root / place / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return self.root / place

    def looking(self, **variables):
        """Looks on an empty path and in one folder with versions."""
        environment = {"PATH": str(self.root / "empty"), "TAW_TEST_POSTGRES_BIN": "", **variables}
        parents = mock.patch.object(prerequisites, "POSTGRES_PARENTS", [str(self.root / "versions")])
        with parents, mock.patch.dict(os.environ, environment):
            return prerequisites.postgres()

    def test_the_given_folder_comes_before_the_path_and_the_path_before_the_newest_version(self):
        self.assertIsNone(self.looking())
        self.install("versions/9/bin")
        newest = self.install("versions/17/bin")
        self.assertEqual(self.looking(), newest)
        here = self.install("here")
        self.assertEqual(self.looking(PATH=str(here)), here)
        given = self.install("given")
        self.assertEqual(self.looking(PATH=str(here), TAW_TEST_POSTGRES_BIN=str(given)), given)
        self.assertIsNone(self.looking(PATH=str(here), TAW_TEST_POSTGRES_BIN=str(self.root)))

    def test_without_it_the_tests_that_need_it_count_as_skipped(self):
        said = ["     Summary [   0.1s] 3 tests run: 3 passed, 5 skipped\n"]
        without = mock.patch.object(prerequisites, "postgres", return_value=None)
        listed = mock.patch.object(driver, "matching", return_value=5)
        with without, listed, mock.patch.object(driver, "stream", return_value=(0, said)) as run:
            result = driver.nextest("all()")
        self.assertEqual((result.passed, result.failed, result.skipped), (3, 0, 5))
        self.assertIn("5 tests need PostgreSQL", result.remark)
        self.assertIn(f"(all()) - ({driver.NEEDS_POSTGRES})", run.call_args[0][0])


class TestRunner(unittest.TestCase):
    """The machine's own test runner is used where it is new enough, and the pinned one elsewhere."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "bin").mkdir()
        (self.root / setup.NEXTEST).touch()
        self.own = self.root / "own"
        self.own.mkdir()

    def machine_with(self, version):
        """Gives a machine whose own test runner says this version; None for a machine without one."""
        if version:
            program = self.own / "cargo-nextest"
            program.write_text(f"#!/bin/sh\necho 'cargo-nextest {version} (abc 2026-01-01)'\n", encoding="utf-8")
            program.chmod(0o755)
        return mock.patch.dict(os.environ, {"PATH": str(self.own)})

    def test_a_new_enough_one_is_used_and_none_is_fetched(self):
        with self.machine_with(prerequisites.least_nextest_version()):
            self.assertNotIn(setup.NEXTEST, setup.wanted_files(["test"]))
            self.assertNotIn("PATH", setup.environment(self.root))

    def test_where_there_is_none_or_an_old_one_the_pinned_one_comes_first_on_the_path(self):
        for version in (None, "0.9.9", "of another kind"):
            with self.machine_with(version):
                self.assertIn(setup.NEXTEST, setup.wanted_files(["test"]), version)
                path = setup.environment(self.root)["PATH"]
            self.assertEqual(path.split(os.pathsep), [str(self.root / "bin"), str(self.own)], version)

    def test_the_runtime_alone_needs_none(self):
        with self.machine_with(None):
            self.assertNotIn(setup.NEXTEST, setup.wanted_files(["runtime"]))


class Counting(unittest.TestCase):
    """The closing line counts what nextest said."""

    def test_failures_of_every_kind_count_and_filtered_tests_do_not(self):
        said = ["     Summary [   9.1s] 7 tests run: 4 passed (1 flaky), 1 failed, 2 timed out, 30 skipped\n"]
        result = driver.read_nextest(said)
        self.assertEqual((result.passed, result.failed, result.skipped), (4, 3, 0))
        self.assertIn("1 passed only when run again", result.remark)

    def test_a_run_that_was_cut_short_is_read_too(self):
        result = driver.read_nextest(["     Summary [   0.1s] 3/5 tests run: 2 passed, 1 failed, 0 skipped\n"])
        self.assertEqual((result.passed, result.failed), (2, 1))

    def test_a_class_in_which_no_test_ran_has_failed(self):
        said = ["     Summary [   0.0s] 0 tests run: 0 passed, 4 skipped\n"]
        with mock.patch.object(driver, "stream", return_value=(0, said)):
            self.assertEqual(driver.nextest("binary(none)").failed, 1)

    def test_a_test_class_waits_for_a_build_that_works(self):
        with mock.patch("builtins.print"):
            result = driver.take(driver.system, {"build": driver.Result(failed=1)})
        self.assertEqual((result.passed, result.skipped), (0, 1))


if __name__ == "__main__":
    unittest.main()

import json
import sys
from importlib import metadata

import pytest

import course_utils
from course_utils import data, doctor


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("COURSE_DEVICE", "COURSE_THREADS", "JUPYTER_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def installed(monkeypatch):
    """Makes importlib.metadata answer from a dict: distribution -> version, None for absent."""
    real = metadata.version

    def pretend(**versions):
        given = {name.replace("_", "-"): version for name, version in versions.items()}

        def version(name):
            found = given[name] if name in given else real(name)
            if found is None:
                raise metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(metadata, "version", version)

    return pretend


def test_everything_that_a_question_needs_is_there():
    findings = doctor.examine()
    names = [finding.name for finding in findings]
    assert names == ["course", "python", "torch", "faiss", "device", "threads", "kernel", "jupyter", "data"]
    text = "\n".join(finding.line() for finding in findings)
    for fact in (course_utils.__version__, sys.version.split()[0], metadata.version("torch").split("+")[0]):
        assert fact in text
    assert all(finding.ok for finding in findings if finding.name != "data"), text


def test_a_line_is_ok_or_names_the_command_that_mends_it():
    assert doctor.Finding("torch", "2.13.0").line() == "torch     ok  2.13.0"
    line = doctor.Finding("data", "not fetched yet", "course data").line()
    assert line == "data      NO  not fetched yet\n              mend it with:  course data"


def test_one_faiss_is_ok(installed):
    installed(faiss_cpu="1.15.1", faiss_gpu=None)
    assert doctor._faiss() == doctor.Finding("faiss", "faiss-cpu 1.15.1")


def test_two_faiss_are_a_conflict(installed):
    installed(faiss_cpu="1.15.1", faiss_gpu="1.15.1")
    finding = doctor._faiss()
    assert "faiss-cpu 1.15.1 and faiss-gpu 1.15.1: only one" in finding.found
    assert "pip uninstall -y faiss-cpu faiss-gpu && " in finding.mend


def test_no_faiss_is_told(installed):
    installed(faiss_cpu=None, faiss_gpu=None)
    finding = doctor._faiss()
    assert finding.found == "not installed"
    assert "pip install" in finding.mend


def test_faiss_whose_files_were_removed_with_the_other_build(installed, monkeypatch):
    installed(faiss_cpu="1.15.1", faiss_gpu=None)
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: None)
    assert "its files are gone" in doctor._faiss().found


def test_an_uninstalled_or_older_course(installed):
    installed(recsys_course=None)
    assert "not installed" in doctor._course().found
    installed(recsys_course="0.0.1")
    assert "installed as 0.0.1" in doctor._course().found
    assert '-e ".[' in doctor._course().mend


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 2))
    assert not doctor._python().ok


def test_a_torch_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "cannot be imported" in doctor._torch().found
    assert doctor._device().mend == "mend torch first"


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "meteor")
    finding = doctor._device()
    assert "COURSE_DEVICE=meteor" in finding.found
    assert finding.mend == "unset COURSE_DEVICE"


def test_threads(monkeypatch):
    assert doctor._threads().found.startswith("1 for torch")
    monkeypatch.setenv("COURSE_THREADS", "many")
    assert doctor._threads().mend == "unset COURSE_THREADS"


def test_a_kernel_of_another_python(tmp_path, monkeypatch):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {
        "argv": ["/elsewhere/bin/python", "-m", "ipykernel_launcher"],
        "display_name": "x",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = doctor._kernel()
    assert "/elsewhere/bin/python, not this Python" in finding.found
    assert "ipykernel install --sys-prefix" in finding.mend


def test_a_missing_kernel(monkeypatch):
    from jupyter_client import kernelspec

    def missing(self, name):
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", missing)
    assert "No such kernel named python3" in doctor._kernel().found


def test_a_missing_jupyterlab(installed):
    installed(jupyterlab=None)
    assert not doctor._jupyterlab().ok


def test_the_data_is_verified_not_only_present(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA_CACHE", str(tmp_path))
    assert (doctor._data().found, doctor._data().mend) == ("MovieLens 100k: not fetched yet", "course data")
    data.cache_file("100k").write_bytes(b"PK tampered")
    assert "damaged" in doctor._data().found
    assert doctor._data().mend == "course data"

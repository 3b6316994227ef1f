"""The Export page without a browser: what is made, opened again, reported, and what is said where that cannot be."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ago_core.artifacts import layout
from ago_core.devices.tracker import Address
from ago_core.tuning import control
from ago_core.tuning.control import Request
from ago_core.tuning.events import State
from ago_core.tuning.settings import LocalDevice, RemoteDevice, TuningSettings
from app import state
from app.services import exports
from app.services.exports import Export, tuned_preset
from app.services.jobs import JobQueue
from app.services.models import Choice
from app.services.report import Plan, report
from app.services.tuning import session_store
from app.services.tuning_feed import feed
from tests.app_driver import SPEC, button, opened, own, settle, study, text
from tests.tuning_journals import ended

EXPORT = "screens/export.py"
LATENCY = {"median": 1.25, "q1": 1.2, "q3": 1.4, "runs": [1.2, 1.25, 1.4]}


def manifest_of(graph, partition):
    return {
        "schema": layout.SCHEMA,
        "model": graph.name,
        "model_hash": graph.model_hash,
        "source": {"spec": SPEC, "dims": {}},
        "method": partition.method,
        "preset": "host",
        "target": '{"kind":"llvm","mcpu":"znver5","num-cores":2}',
        "tuned": None,
        "tolerance": 1e-4,
        "threads": 2,
        "inputs": [],
        "outputs": [],
        "versions": {"numpy": "2"},
        "exported_at": "2026-11-23T03:47:51+00:00",
        "machine": "a machine",
        "max_rel_error": 1e-6,
        "latency_ms": LATENCY,
        "reference_ms": LATENCY | {"median": 2.5},
        "reloaded": {"max_rel_error": 4.2e-7, "latency_ms": LATENCY | {"median": 1.375}},
    }


@pytest.fixture(autouse=True)
def sessions(tmp_path, monkeypatch):
    """The folder of all sessions, empty."""
    monkeypatch.setenv("AGO_DATA", str(tmp_path / "data"))
    session_store.cache_clear()
    yield tmp_path / "data" / "sessions"
    session_store.cache_clear()


@pytest.fixture
def artifact(app, tmp_path):
    """A zip file as `export` writes them, with AGO's partition of the app's model; its library is none."""
    graph, partition = study(app).graph, study(app).partitions["ago"]
    texts = {
        layout.GRAPH: json.dumps(graph.to_json()),
        layout.PARTITION: json.dumps(partition.to_json()),
        layout.LIBRARY: "library",
    }
    digests = {name: hashlib.sha256(content.encode()).hexdigest() for name, content in texts.items()}
    files = {name: {"bytes": len(content.encode()), "sha256": digests[name]} for name, content in texts.items()}
    texts[layout.MANIFEST] = json.dumps(manifest_of(graph, partition) | {"files": files})
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as file:
        for name, content in texts.items():
            file.writestr(f"made/{name}", content)
    return tmp_path / "made.zip"


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Replaces the command line by Python code."""
    queues = []

    def write(code):
        script = tmp_path / "fake.py"
        script.write_text(f"import json, shutil, sys, time, zipfile\n{code}\n")
        queue = JobQueue([sys.executable, str(script)])
        queues.append(queue)
        monkeypatch.setattr(state, "job_queue", lambda: queue)

    yield write
    for queue in queues:
        queue.cancel_all()


@pytest.fixture
def page(app, monkeypatch):
    """The Export page; what links depends on this machine, so tests say it."""
    monkeypatch.setattr(exports, "obstacle", lambda preset: "")
    monkeypatch.setattr("app.components.export_new.obstacle", lambda preset: exports.obstacle(preset))
    return app.switch_page(EXPORT).run()


def made(page, command, artifact):
    """After an export that copies a finished artifact."""
    command(
        "output = sys.argv[sys.argv.index('--output') + 1]\n"
        f"shutil.copy({str(artifact)!r}, output)\n"
        "manifest = json.loads(zipfile.ZipFile(output).read('made/manifest.json'))\n"
        "print(json.dumps({'path': output, 'manifest': manifest}))"
    )
    button(page, "Make the artifact").click().run()
    return idle(page)


def idle(page):
    end = time.monotonic() + 10
    while any(jobs[-1].active for jobs in own(page).jobs.values()):
        assert time.monotonic() < end
        time.sleep(0.02)
    page.run()
    assert not page.exception
    return page


def switch(page, name):
    return page.button_group(key="export-page").set_value(name).run()


def upload(page, name, content):
    page.file_uploader(key="export-file").set_value((name, content, "application/zip")).run()
    assert not page.exception
    return page


def own_artifact(page):
    """Key of the artifact in the address."""
    named = page.query_params["artifact"]
    return named if isinstance(named, str) else named[0]


def labels(page):
    return [one.proto.label for one in page.get("download_button")]


def test_it_says_first_what_will_be_made(page):
    assert "What the artifact will hold" in text(page) and "clean process" in text(page)
    assert "tuning session" not in text(page), "it is not tuned"
    assert f"export {SPEC} --partition ago.json --output squeezenet-56-ago.zip" in page.code[0].value
    page.checkbox(key="export-model").check().run()
    assert "the ONNX model" in text(page) and "--include-model" in page.code[0].value


def test_an_artifact_is_made_and_its_figures_are_shown(page, command, artifact):
    made(page, command, artifact)
    assert "Loaded in a clean process: its outputs match ONNX Runtime's (relative error 4.2e-07" in text(page)
    for figure in ("Compiled 1.25 ms", "Clean process 1.38 ms", "ONNX Runtime 2.5 ms"):
        assert figure in text(page)
    assert labels(page)[0].startswith("Download squeezenet-56-ago.zip")
    assert button(page, "Make it again")


def test_what_was_made_comes_into_the_report(page, command, artifact):
    switch(page, "report")
    assert "Nothing was measured in this tab yet" in text(page)
    switch(page, "new")
    made(page, command, artifact)
    switch(page, "report")
    assert "Nothing was measured" not in text(page) and labels(page) == ["Download the report"]
    assert [*page.multiselect(key="report-plans").options] == ["TVM heuristic (not run)", "AGO (3 measurements)"]
    page.multiselect(key="report-plans").set_value([]).run()
    assert "Choose at least one plan" in text(page) and labels(page) == []


def test_an_export_that_fails_says_why(page, command):
    command("print(json.dumps({'error': 'Not exported: it is wrong.'}), file=sys.stderr); sys.exit(2)")
    button(page, "Make the artifact").click().run()
    idle(page)
    assert "Not exported: it is wrong." in page.error[0].value.replace("\\", "") and labels(page) == []


def test_an_export_can_be_cancelled(page, command):
    command("time.sleep(30)")
    button(page, "Make the artifact").click().run()
    assert button(page, "Make the artifact").disabled
    button(page, "Cancel").click().run()
    assert "Cancelled after" in text(idle(page))


def test_the_page_of_results_says_what_it_waits_for(page, command):
    command("time.sleep(30)")
    button(page, "Make the artifact").click().run()
    page.switch_page("screens/run.py").run()
    assert "squeezenet@56, AGO, 9 subgraphs, export" in text(page)
    button(page, "Cancel").click().run()
    idle(page)
    assert "9 subgraphs, export" not in text(page)


def test_without_a_linker_it_says_what_to_install(page, monkeypatch):
    monkeypatch.setattr(exports, "obstacle", lambda preset: "An export needs a linker.")
    page.run()
    assert "An export needs a linker." in page.warning[0].value.replace("\\", "")
    assert "Make the artifact" not in [one.label for one in page.button]


def test_for_another_machine_a_device_can_check_it(page):
    page.selectbox(key="export-target").set_value("raspberry-pi-5").run()
    assert "Nothing is run then" in text(page) and "--preset raspberry-pi-5" in page.code[0].value
    page.checkbox(key="export-device").check().run()
    page.text_input(key="export-tracker").set_value("127.0.0.1:1").run()
    assert "127.0.0.1:1" in page.error[0].value.replace("\\", "")
    assert "Make the artifact" not in [one.label for one in page.button]


def test_what_a_session_found_is_for_its_own_target(page, sessions):
    graph, found = study(page).graph, study(page).partitions["heuristic"]
    folder = ended(sessions / "s", State.FINISHED, "", model_hash=graph.model_hash)
    (folder / "best.json").write_text(json.dumps({"partition": found.to_json() | {"method": "tuned"}}))
    page.run()
    page.selectbox(key="export-plan").set_value("tuned:s").run()
    assert page.selectbox(key="export-target").disabled
    assert f"--tuned {folder}" in page.code[0].value and "tuning session" in text(page)
    switch(page, "report")
    assert page.multiselect(key="report-sessions").options == ["s"]
    written = report(graph, [Plan("Tuned", found)], {"s": feed(folder)}).decode()
    assert "End to end" in written and "python -m ago_core tune squeezenet@56" in written


def test_an_artifact_is_looked_into_and_its_partition_taken_over(page, command, artifact):
    made(page, command, artifact)
    button(page, "Look inside").click().run()
    assert not page.exception
    assert "**squeezenet-56-ago.zip**: squeezenet@56, 92 operators in" in text(page)
    assert "Measured when it was exported, on a machine, not now." in text(page)
    assert "llvm -mcpu=znver5 -num-cores=2" in text(page)
    key = own_artifact(page)
    assert exports.shelf().picture(key).startswith("<svg")
    assert page.get("image")[0].proto.imgs[0].alt.startswith("squeezenet@56: 92 operators in")
    button(page, "Show on the model").click().run()
    assert study(page).partitions["edited"].subgraphs == study(page).partitions["ago"].subgraphs
    assert own(page).methods["left"] == "edited"


def test_an_uploaded_artifact_is_opened_or_refused_in_a_sentence(page, artifact):
    switch(page, "open")
    assert "Nothing of it is run" in text(page)
    upload(page, "broken.zip", artifact.read_bytes()[:1000])
    assert "broken.zip is no artifact" in page.error[0].value.replace("\\", "")
    upload(page, "made.zip", artifact.read_bytes())
    assert not page.error and "**made.zip**: squeezenet@56" in text(page)


def test_a_reload_opens_the_artifact_again(page, artifact):
    switch(page, "open")
    upload(page, "made.zip", artifact.read_bytes())
    key = own_artifact(page)
    again = opened("", settled=False)
    again.query_params["model"], again.query_params["artifact"] = SPEC, key
    settle(again.run()).switch_page(EXPORT).run()
    assert "**made.zip**: squeezenet@56" in text(again)


def test_an_artifact_that_is_not_kept_is_asked_for(app):
    app.query_params["artifact"] = "0123456789abcdef"
    app.switch_page(EXPORT).run()
    assert "is not kept here any more" in text(app)


# Services


def test_an_export_is_the_work_and_its_target():
    partition = type("P", (), {"method": "ago"})()
    work = Export.of(state.Work("export", Choice("net@2", (("n", 2),)), partition), "raspberry-pi-5")
    assert work.file_name == "net-2-ago-raspberry-pi-5.zip"
    checked = Export.of(work, "raspberry-pi-5", ("pi", Address("host", 9190)), True)
    words = checked.arguments(Path("/job"))
    assert words[words.index("--preset") : words.index("--preset") + 2] == ["--preset", "raspberry-pi-5"]
    assert words[-5:] == ["--device", "pi", "--tracker", "host:9190", "--include-model"]
    assert words[words.index("--output") + 1] == "/job/net-2-ago-raspberry-pi-5.zip"
    assert len({work, checked, Export.of(work)}) == 3


@pytest.mark.parametrize(
    ("device", "preset"), [(LocalDevice(1), "host"), (RemoteDevice("h", 1, "k", "kirin-990"), "kirin-990")]
)
def test_a_session_is_for_one_target(tmp_path, device, preset):
    control.create(tmp_path / "s", Request(SPEC, {}, TuningSettings(4, device)))
    assert tuned_preset(tmp_path / "s") == preset

"""What stands in the address reopens, each kind of state; what cannot be reopened is one sentence."""

from __future__ import annotations

import html
import re
import sys

import pytest
from streamlit.testing.v1 import AppTest

from ago_core.partition.settings import Rule, Settings
from ago_core.tuning.events import State
from app import state
from app.components import keys, link
from app.services import models
from app.services.boards import Boards
from app.services.jobs import JobQueue
from app.services.study import EDITED, MERGE
from app.services.tuning import session_store
from tests.app_driver import (
    COMPARE,
    EXPLORE,
    ROOT,
    RUN,
    SPEC,
    button,
    model_bytes,
    neighbours,
    own,
    select,
    settle,
    study,
    text,
    upload_model,
)
from tests.tuning_journals import ended
from visualizers.colouring import Colour


def parameters(app):
    found = app.query_params
    return {name: found[name] if isinstance(found[name], list) else [found[name]] for name in found}


def reloaded(app, **changed):
    """What a browser's reload gives: a new session from the address."""
    other = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=20)
    for name, values in (parameters(app) | changed).items():
        other.query_params[name] = values
    other.run()
    return settle(other)


def sentence(app):
    """The only error of a page, as it is read."""
    assert len(app.error) == 1 and not app.exception
    return app.error[0].value.replace("\\", "")


def edit(app, *operators):
    study(app).edit(MERGE, operators)
    return app.run()


def test_a_fresh_page_has_a_short_address(app):
    assert parameters(app) == {"model": [SPEC]}


def test_panels_and_settings_come_back(app):
    app.selectbox(key="method-left").select("ago").run()
    study(app).set(Settings(120, Rule.EXACT, aware=False))
    app.run()
    assert parameters(app) == {
        "model": [SPEC],
        "left": ["ago"],
        "limit": ["120"],
        "cycles": ["exact"],
        "join": ["plain"],
    }
    other = reloaded(app)
    assert own(other).methods == {"left": "ago", "right": "ago"}
    assert study(other).settings == Settings(120, Rule.EXACT, aware=False)
    assert parameters(other) == parameters(app)


def test_selected_operators_come_back(app):
    select(app, 3, 5, 6, 7)
    assert parameters(app)["operators"] == ["3,5-7"]
    other = reloaded(app)
    assert own(other).selected == state.Selected((3, 5, 6, 7))
    assert "4 operators selected" in text(other)


def test_a_selected_subgraph_comes_back(app):
    members = study(app).partitions["ago"].subgraphs[3]
    select(app, *members, method="ago", subgraph=3)
    assert parameters(app) == {"model": [SPEC], "subgraph": ["ago:3"]}
    other = reloaded(app)
    assert own(other).selected == state.Selected(members, "ago", 3)
    assert "S3 of AGO selected" in text(other)


def test_the_step_comes_back(app):
    study(app).show_steps(True)
    study(app).go(4)
    app.run()
    assert parameters(app)["step"] == ["5"]
    assert "Step 5 of" in text(reloaded(app))


def test_what_is_folded_comes_back(app):
    study(app).fold("heuristic", 3)
    study(app).fold("ago", None, closed=True)
    study(app).fold("ago", 2)
    app.run()
    assert parameters(app) == {"model": [SPEC], "folded": ["heuristic:3"], "unfolded": ["ago:2"]}
    other = reloaded(app)
    assert parameters(other) == parameters(app)
    for method, partition in study(app).partitions.items():
        assert study(other).folding(method).folded(partition) == study(app).folding(method).folded(partition)


def test_colours_and_the_plans_that_are_compared_come_back(app):
    study(app).colour = Colour.WEIGHT
    app.switch_page(COMPARE).run()
    app.selectbox(key="compare-before").select("ago:no-fusion").run()
    assert parameters(app) == {"model": [SPEC], "colour": ["weight"], "before": ["ago:no-fusion"]}
    other = reloaded(app)
    assert study(other).colour is Colour.WEIGHT and parameters(other) == parameters(app)
    assert other.switch_page(COMPARE).run().selectbox(key="compare-before").value == "ago:no-fusion"


def test_edits_come_back_with_undo_and_redo(edited):
    edit(edited, *neighbours(edited, study(edited).partitions[EDITED]))
    edit(edited, *neighbours(edited, study(edited).partitions[EDITED]))
    button(edited, "Undo").click().run()
    other = reloaded(edited)
    assert study(other).history == study(edited).history
    assert own(other).methods["left"] == EDITED and "1 edit" in text(other)
    button(other, "Redo").click().run()
    assert len(study(other).history.past) == 2 and "redo" not in parameters(other)


def test_the_edited_partition_of_another_model_is_a_sentence(edited):
    edit(edited, *neighbours(edited, study(edited).partitions[EDITED]))
    other = reloaded(edited, model="squeezenet@112")
    assert "another model" in sentence(other) and study(other).history is None
    assert own(other).choice.name == "squeezenet@112"


def test_an_edit_that_is_not_kept_any_more_is_a_sentence(edited):
    edit(edited, *neighbours(edited, study(edited).partitions[EDITED]))
    other = reloaded(edited, edited="0123456789ab")
    assert "not kept here" in sentence(other)
    assert "edited" not in parameters(other), "the address says what is shown"


def test_where_edits_cannot_be_kept_it_is_said(edited, tmp_path):
    (tmp_path / "data").mkdir(exist_ok=True)
    folder = tmp_path / "data" / "edits"
    for file in folder.glob("*"):
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    edit(edited, *neighbours(edited, study(edited).partitions[EDITED]))
    edited.run()
    assert "a reload would lose it" in sentence(edited) and study(edited).history.past


def test_an_upload_comes_back_while_a_session_holds_it(app):
    upload_model(app, "tiny.onnx", model_bytes(2))
    assert parameters(app).keys() == {"file"} and len(parameters(app)["file"][0]) == 16
    other = reloaded(app)
    assert own(other).choice == own(app).choice and own(other).upload is own(app).upload
    assert other.button_group(key="source").value == "Your own" and not other.error


def test_the_sizes_of_an_upload_come_back(app):
    upload_model(app, "tiny.onnx", model_bytes("batch"))
    app.number_input(key="size-of-batch").set_value(3)
    app.button(key="FormSubmitter:sizes-Load").click().run()
    settle(app)
    assert parameters(app)["dim"] == ["batch=3"]
    other = reloaded(app)
    assert own(other).choice.dims == (("batch", 3),) and "batch = 3" in text(other)
    assert other.number_input(key="size-of-batch"), "it can be chosen anew"


def test_an_upload_that_is_gone_is_a_sentence(app):
    other = reloaded(app, model=[], file="0123456789abcdef", operators="3")
    assert "upload it again" in sentence(other)
    assert own(other).choice.name == models.DEFAULT_SAMPLE and not own(other).selected.operators


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"limit": "many"}, "limit ('many') makes no sense"),
        ({"operators": "3-99999999999"}, "makes no sense"),
        ({"operators": "500"}, "operator that is not here (500)"),
        ({"subgraph": "ago:500"}, "subgraph that is not here ('ago:500')"),
        ({"subgraph": "mine:0"}, "subgraph that is not here"),
        ({"folded": "ago:500"}, "subgraphs to fold that are not here ('ago')"),
        ({"unfolded": "mine:0"}, "subgraphs to fold that are not here ('mine')"),
        ({"left": "edited"}, "partition that is not here ('edited')"),
        ({"step": "99999"}, "names step 99999 of"),
        ({"tuned": "../../etc"}, "session that is not there any more"),
        ({"colour": "taste"}, "colours that are not here ('taste')"),
        ({"after": "session:gone"}, "plan to compare that is not here ('session:gone')"),
        ({"runs": "0123abcd"}, "not kept by this server any more"),
        ({"model": "<b>x</b>"}, "names no sample model ('<b>x</b>')"),
    ],
)
def test_what_cannot_be_reopened_is_one_sentence(app, changed, says):
    other = reloaded(app, **changed)
    assert says in sentence(other)
    assert own(other).loaded is not None
    assert own(other).choice.name == (SPEC if "model" not in changed else models.DEFAULT_SAMPLE)
    assert not set(changed) & (set(parameters(other)) - {"model"}), "the address says what is shown"


def test_a_run_is_found_again_after_a_reload(app, monkeypatch, tmp_path):
    kept = Boards()
    monkeypatch.setattr(state, "boards", lambda: kept)
    monkeypatch.setattr(link, "boards", lambda: kept)
    script = tmp_path / "sleep.py"
    script.write_text("import time\ntime.sleep(30)")
    queue = JobQueue([sys.executable, str(script)])
    monkeypatch.setattr(state, "job_queue", lambda: queue)
    try:
        app.switch_page(RUN).run()
        button(app, "Compile and run").click().run()
        jobs = list(own(app).jobs.values())
        other = reloaded(app).switch_page(RUN).run()
        assert list(own(other).jobs.values()) == jobs
        assert button(other, "Compile and run").disabled
    finally:
        queue.cancel_all()


@pytest.fixture
def watched(app, tmp_path):
    """The app, watching a session that has ended."""
    session_store.cache_clear()
    ended(tmp_path / "data" / "sessions" / "mine", State.FINISHED, "All 8 trials are spent.")
    app.query_params["session"] = ["mine"]
    yield app.switch_page("screens/tune.py").run()
    session_store.cache_clear()


def test_a_session_stays_in_sight_on_other_pages(watched):
    watched.query_params.clear()
    watched.switch_page(COMPARE).run()
    assert "session mine" in text(watched) and parameters(watched)["session"] == ["mine"]
    assert own(watched).choice.name == SPEC, "a link that names no model leaves this one"


def test_turning_to_another_page_keeps_the_address(app):
    select(app, 3)
    app.query_params.clear()  # as Streamlit does
    app.switch_page(COMPARE).run()
    assert parameters(app) == {"model": [SPEC], "operators": ["3"]}


def test_a_link_to_another_page_opens_what_it_names(app):
    app.switch_page(COMPARE).run()
    app.query_params["model"], app.query_params["operators"] = SPEC, "7"
    app.switch_page(EXPLORE).run()
    assert own(app).selected.operators == (7,)


def test_an_older_address_from_the_browser_changes_nothing(app):
    select(app, 3)
    app.query_params["operators"] = "5"
    app.run()
    assert own(app).selected.operators == (3,) and parameters(app)["operators"] == ["3"]


# The line above the page, and models side by side


def test_every_page_says_what_is_worked_on_and_what_comes_next(app):
    select(app, 3)
    for page, following in (
        (EXPLORE, "compare"),
        (COMPARE, "tune"),
    ):
        app.switch_page(page).run()
        assert SPEC in text(app) and "TVM heuristic | AGO" in text(app)
        assert f"{own(app).loaded.graph.operators[3].name} selected" in text(app)
        labels = [one.proto.label for one in app.get("page_link")]
        assert any(following in label for label in labels)


def test_going_back_to_a_model_finds_what_was_done_there(edited):
    edit(edited, *neighbours(edited, study(edited).partitions[EDITED]))
    history = study(edited).history
    edited.button_group(key="size-squeezenet").set_value(112).run()
    settle(edited)
    assert study(edited).history is None
    edited.button_group(key="recent").set_value(own(edited).studies and next(iter(own(edited).recent))).run()
    settle(edited)
    assert own(edited).choice.name == SPEC and study(edited).history is history
    assert edited.button_group(key="size-squeezenet").value == 56, "the sidebar follows"


def test_going_back_to_an_upload(app):
    upload_model(app, "tiny.onnx", model_bytes(2))
    app.button_group(key="source").set_value("Sample").run()
    settle(app)
    tiny = next(choice for choice in own(app).recent if choice.path)
    app.button_group(key="recent").set_value(tiny).run()
    settle(app)
    assert own(app).choice == tiny and app.button_group(key="source").value == "Your own"
    assert own(app).choice.path.exists()


def test_the_list_of_keys_has_all_that_a_drawing_knows(app):
    source = (ROOT / "app/components/graph_view/frontend/src/keyboard.js").read_text()
    letters = re.findall(r"^  ([a-z]): ", source.partition("ACTIONS = {")[2].partition("};")[0], re.MULTILINE)
    listed = {key for rows in keys.KEYS.values() for names, _ in rows for key in names.split(", ")}
    assert letters and {letter.upper() for letter in letters} <= listed
    shown = html.unescape(text(app))
    assert all(does in shown for rows in keys.KEYS.values() for _, does in rows)

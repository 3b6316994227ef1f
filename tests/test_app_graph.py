"""The panels: folded subgraphs, colours and their menu, and drawings that take long."""

from __future__ import annotations

import json
import sys

from app.components import panels
from app.services import colours
from tests.app_driver import button, component_data, study, text, told
from visualizers.colouring import Colour


def drawings(app):
    """What each panel draws, left and right."""
    return [one for one in component_data(app) if "elements" in one]


def test_a_folded_subgraph_is_one_node_on_the_page(app):
    before = [len(json.loads(one["elements"])) for one in drawings(app)]
    study(app).fold("ago", None, closed=True)
    app.run()
    after = [len(json.loads(one["elements"])) for one in drawings(app)]
    assert after[0] == before[0] and after[1] < before[1] / 3
    assert "folded" in drawings(app)[1]["label"]


def test_other_colours_leave_the_drawings_as_they_are(app):
    before = drawings(app)
    for colour in (Colour.KIND, Colour.FLOPS, Colour.BYTES, Colour.WEIGHT):
        study(app).colour = colour
        app.run()
        assert drawings(app) == before
        left, right = told(app, "colours")
        assert left["chosen"] == right["chosen"] == colour.value
        assert left["paint"]["title"] == right["paint"]["title"] and left["paint"]["ends"] == right["paint"]["ends"]
    study(app).colour = Colour.SUBGRAPH
    app.run()
    assert [one["paint"] for one in told(app, "colours")] == [None, None]


def test_what_was_not_measured_cannot_be_chosen_and_the_menu_says_why(app, monkeypatch):
    monkeypatch.setattr(colours, "measured", lambda study, method: None)
    study(app).colour = Colour.LATENCY
    app.run()
    menu = {key: (entry, enabled) for key, entry, enabled in told(app, "colours")[0]["menu"]}
    assert menu["latency"] == ("Measured latency (TVM heuristic and AGO not measured yet: see Compare)", False)
    assert menu["speedup"][1] is False and menu["flops"] == ("FLOPs", True)
    assert told(app, "colours")[0]["chosen"] == "subgraph"


def test_measured_times_colour_the_panels(app, monkeypatch):
    class Times:
        def __init__(self, count, seconds):
            self.subgraphs = (seconds,) * count

    times = {"heuristic": 0.001, "ago": 0.002}
    monkeypatch.setattr(colours, "measured", lambda study, method: Times(len(study.partitions[method]), times[method]))
    study(app).colour = Colour.LATENCY
    app.run()
    assert [set(one["paint"]["texts"]) for one in told(app, "colours")] == [{"1 ms"}, {"2 ms"}]
    study(app).colour = Colour.SPEEDUP
    app.run()
    assert told(app, "colours")[1]["paint"]["title"] == "AGO vs TVM heuristic, measured"
    app.selectbox(key="method-left").select("ago").run()
    assert told(app, "colours")[0]["chosen"] == "subgraph", "both panels show the same"


def test_a_slow_drawing_is_waited_for_beside_the_former_one_and_can_be_ended(app, monkeypatch, tmp_path):
    slow = tmp_path / "dot"
    slow.write_text(f"#!{sys.executable}\nimport time; time.sleep(60)\n")
    slow.chmod(0o755)
    monkeypatch.setattr("visualizers.dot_engine.find_dot", lambda: str(slow))
    monkeypatch.setattr(panels, "PATIENCE_SECONDS", 0.05)
    before = drawings(app)
    study(app).fold("ago", 1)
    app.run()
    assert drawings(app) == before and "Drawing … " in text(app)
    button(app, "Draw it simply").click().run()
    assert study(app).drawing("ago").wait(5)
    app.run()
    assert drawings(app)[1] != before[1] and "you stopped Graphviz" in text(app)

"""What tests of the pages do with the app, without a browser."""

from __future__ import annotations

import json
import time
from pathlib import Path

from onnx import TensorProto, helper
from streamlit.testing.v1 import AppTest

from app import state

ROOT = Path(__file__).resolve().parents[1]
SPEC = "squeezenet@56"
EXPLORE, COMPARE, RUN = (f"screens/{name}.py" for name in ("explore", "compare", "run"))


def opened(spec, settled=True):
    """The app, started by a link to a sample or by none."""
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=20)
    if spec:
        app.query_params["model"] = spec
    app.run()
    return settle(app) if settled else app


def settle(app):
    """Waits for what is on its way, as the page's own refresh does."""
    end = time.monotonic() + 20
    while loading_task(app) is not None:
        assert time.monotonic() < end
        loading_task(app).wait(5)
        app.run()
    assert not app.exception
    return app


def loading_task(app):
    session = own(app)
    if session.loading:
        return session.loading[1]
    return session.draft.task if session.draft and session.draft.symbols is None else None


def own(app):
    """The session's state."""
    return app.session_state["session"]


def study(app):
    """The session's partitions of the model that is shown."""
    return own(app).studies[own(app).choice]


def text(app):
    """All that can be read on the page."""
    parts = [element.value for kind in ("markdown", "caption", "info", "error", "success") for element in app.get(kind)]
    parts += [element.proto.body for element in app.get("html")]
    parts += [f"{metric.label} {metric.value}" for metric in app.metric]
    return "\n".join(str(part) for part in parts).replace("\\", "")


def button(app, label):
    return next(one for one in app.button if one.label == label)


def select(app, *operators, method="", subgraph=None):
    """What a click in a panel does to the state."""
    own(app).selected = state.Selected(operators, method, subgraph)
    app.session_state[state.INSPECTOR_TAB] = method or state.OPERATORS_TAB
    return app.run()


def inspector_tabs(app):
    """Their names."""
    return [option.content for option in app.button_group(key=state.INSPECTOR_TAB).proto.options]


def marks(app):
    """What each panel was told to emphasise, left and right."""
    return [one["marks"] for one in told(app, "selected")]


def told(app, kind):
    """What each panel was told, left and right: "selected", "colours" or "file"."""
    return [one for one in component_data(app) if one.get("kind") == kind]


def component_data(app):
    """The data of each component on the page."""
    texts = [element.proto.mixed.json or element.proto.json for element in app.get("bidi_component")]
    found = [json.loads(text) for text in texts if text]
    return [one for one in found if isinstance(one, dict)]


def upload_model(app, name, content):
    app.button_group(key="source").set_value("Your own").run()
    app.file_uploader(key="file").set_value((name, content, "application/octet-stream")).run()
    return settle(app)


def model_bytes(batch):
    """An ONNX model of one operator; a batch in words is symbolic."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], "tiny", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def detoured(app, partition):
    """Two operators that a path through a third subgraph joins, so that merging theirs would close a cycle."""
    graph, owner = own(app).loaded.graph, partition.owner
    paths = ((u, v, w) for u, v in graph.edges for w in graph.successors[v])
    return next((u, w) for u, v, w in paths if len({owner[u], owner[v], owner[w]}) == 3)


def neighbours(app, partition):
    """Two operators of different subgraphs that an edge joins."""
    owner = partition.owner
    return next((u, v) for u, v in own(app).loaded.graph.edges if owner[u] != owner[v])

"""Two partitions of the model beside each other, with one selection."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from app import state
from app.components.editing import edit_buttons, edit_tools
from app.components.graph_view import MenuEntry, Request, Selection, graph_view, send_file, tell_colours, tell_panel
from app.components.settings import settings_popover
from app.components.steps import stepping, steps_button
from app.components.terms import TRIVIAL
from app.components.text import plain
from app.services import colours, describe
from app.services.answers import emphasis
from app.services.loaded import METHOD_NAMES
from app.services.pictures import Drawing, Picture
from app.services.study import EDITED, Study
from visualizers.colouring import Colour
from visualizers.dot import partition_dot

HEIGHT = 410
PATIENCE_SECONDS = 0.6
"""A drawing that takes longer is waited for by the page, not by the server."""
POLL_SECONDS = 0.5


def panels(study: Study) -> None:
    shown = tuple(state.method(side) for side in state.SIDES)
    paints = colours.paints(study, shown)
    menu = [MenuEntry(entry.colour.value, entry.text, not entry.obstacle) for entry in colours.menu(study, shown)]
    for number, column in enumerate(st.columns(2)):
        with column:
            _panel(study, shown, number, tools=shown[number] not in shown[:number])
            tell_colours(_key(number), menu, colours.chosen(study, shown).value, paints[number])


def _key(number: int) -> str:
    return f"panel-{list(state.SIDES)[number]}"


def _panel(study: Study, shown: tuple[str, str], number: int, tools: bool) -> None:
    """`tools`: whether what belongs to the method is offered here; once where both panels show the same."""
    side, method = list(state.SIDES)[number], shown[number]
    view = study.views[method]
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xsmall", key=f"head-{side}"):
        _choice(study, side)
        with st.container(width="stretch"):
            st.caption(describe.panel_line(view), help=TRIVIAL)
        if tools and method == "ago":
            settings_popover(study)
            steps_button(study)
        if tools and method == EDITED:
            edit_tools(study)
        if method != EDITED:
            st.button(
                "Edit a copy",
                key=f"icon-edit-{side}",
                icon=":material/edit:",
                help="Edit a copy of this partition",
                on_click=state.edit_copy,
                args=(side,),
            )
    with st.container(gap=None):
        _picture(study, method, number)
        if study.step is None or method != "ago":
            _tell(study, shown, [number])
    if tools and method == "ago" and study.step is not None:
        stepping(study, lambda: _tell(study, shown, [i for i, one in enumerate(shown) if one == "ago"]))
    if tools and method == EDITED:
        edit_buttons(study)


def _picture(study: Study, method: str, number: int) -> None:
    """The drawing; while a slow one is on its way the former one of the same partition, or an empty frame."""
    drawing, key = study.drawing(method), f"drawn-{_key(number)}"
    partition = study.partitions[method]
    if drawing.wait(PATIENCE_SECONDS) and not drawing.error:
        st.session_state[key] = partition, drawing.result
    of, picture = st.session_state.get(key, (None, None))
    if drawing.error:
        st.error(plain(drawing.error), icon=":material/error:")
    elif of == partition:
        _graph(study, method, number, picture)
    else:
        st.container(border=True, height=HEIGHT + 70).caption("The partition will be drawn here.")
    if not drawing.done:
        _wait(drawing, number)
    elif picture and picture.note:
        st.caption(plain(picture.note))


def _graph(study: Study, method: str, number: int, picture: Picture) -> None:
    def requested(request: Request) -> None:
        if request.kind == "fold":
            study.fold(method, request.subgraph, request.closed)
        elif request.kind == "colour":
            study.colour = Colour(request.colour)
        else:
            st.session_state[f"wanted-{_key(number)}"] = request.kind

    graph_view(
        picture,
        key=_key(number),
        model=study.graph.model_hash,
        height=HEIGHT,
        label=f"{study.graph.name} as {METHOD_NAMES[method]} partitions it",
        file=_file(study, method),
        on_select=lambda selection: _selected(selection, method),
        on_request=requested,
    )
    if st.session_state.pop(f"wanted-{_key(number)}", None):
        send_file(_key(number), f"{_file(study, method)}.dot", partition_dot(study.graph, study.partitions[method]))


def _file(study: Study, method: str) -> str:
    return f"{study.graph.name}-{method}"


@st.fragment(run_every=POLL_SECONDS)
def _wait(drawing: Drawing, number: int) -> None:
    """How long a drawing has taken, and a way out."""
    if drawing.done:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Drawing … {drawing.progress.seconds:.0f} s")
        st.button(
            "Draw it simply",
            key=f"stop-{_key(number)}",
            type="tertiary",
            help="Ends the search for a good drawing; a simple one is there at once.",
            on_click=drawing.stop,
        )


def _tell(study: Study, shown: tuple[str, str], numbers: Iterable[int]) -> None:
    """Tells panels what is selected and emphasised."""
    own = state.session()
    asked = own.selected.operators if state.asks_why() else ()
    for number in numbers:
        differ = colours.chosen(study, shown) is Colour.DIFFERENCES
        tell_panel(_key(number), own.selected.operators, emphasis(study, shown, number, asked, differ))


def _choice(study: Study, side: str) -> None:
    key = f"method-{side}"
    st.session_state[key] = state.method(side)
    st.selectbox(
        f"Partition on the {side}",
        list(study.partitions),
        format_func=METHOD_NAMES.get,
        key=key,
        on_change=lambda: state.session().methods.update({side: st.session_state[key]}),
        label_visibility="collapsed",
        width=146,
    )


def _selected(selection: Selection, method: str) -> None:
    state.select(selection.operators, method, selection.subgraph)

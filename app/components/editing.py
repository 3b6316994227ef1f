"""Editing a partition: merge, split out, move, undo and redo, save and load; and what was refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import streamlit as st

from ago_core.partition.partition import Partition
from app import state
from app.components.edit_times import edit_times
from app.components.guard import guarded
from app.components.text import plain
from app.services import describe
from app.services.answers import names
from app.services.study import MERGE, MOVE, SPLIT, Study, targets

MAX_BUTTONS = 8
MAX_MEGABYTES = 20
FILE_WIDTH = MOVE_WIDTH = 300
FILE_KEY, MOVE_KEY, OTHER_KEY = "partition-file", "move", "move-to-another"


def edit_tools(study: Study) -> None:
    """Beside the panel's method: undo, redo, and the file."""
    history = study.history
    _icon("Undo", ":material/undo:", "Ctrl+Z", study.undo, disabled=not history.past)
    _icon("Redo", ":material/redo:", "Ctrl+Y", study.redo, disabled=not history.future)
    popover = st.popover("Save or load", icon=":material/save:", help="Save or load a partition", key="icon-files")
    with popover.container(width=FILE_WIDTH):
        st.download_button(
            "Save as JSON",
            data=lambda: json.dumps(history.present.to_json()),
            file_name=f"{study.graph.name}-partition.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.file_uploader(
            "Load a saved partition of this model",
            type="json",
            max_upload_size=MAX_MEGABYTES,
            key=FILE_KEY,
            on_change=_received,
            args=(study,),
        )
        if study.file_error:
            st.error(plain(study.file_error), icon=":material/error:")


def _icon(label: str, icon: str, shortcut: str, do: Callable[[], None], disabled: bool) -> None:
    key, text = f"icon-{label.lower()}", f"{label} ({shortcut})"
    st.button(label, key=key, icon=icon, help=text, shortcut=shortcut, on_click=do, disabled=disabled)


def _received(study: Study) -> None:
    file = st.session_state[FILE_KEY]
    if file is None:
        study.file_error = ""
    else:
        study.read(file.getvalue())


def edit_buttons(study: Study) -> None:
    """What can be done with the selection, below the panel."""
    operators = state.session().selected.operators
    owner = study.history.present.owner
    touched = {owner[op] for op in operators}
    whole = len(touched) == 1 and len(operators) == len(study.history.present.subgraphs[next(iter(touched))])
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="edits"):
        _edit("Merge", MERGE, ":material/merge:", "M", study, disabled=len(touched) < 2)
        _edit("Split out", SPLIT, ":material/call_split:", "S", study, disabled=not operators or whole)
        _move(study, operators)
    if study.refused:
        _refused(study)
    elif study.message:
        st.error(plain(study.message), icon=":material/error:")
    elif not operators:
        st.caption("Select operators, or subgraphs by their boxes (with Shift several), in either panel.")
    guarded(edit_times, study, operators)


def _edit(label: str, kind: str, icon: str, shortcut: str, study: Study, disabled: bool) -> None:
    helps = {
        MERGE: "Put the subgraphs of the selected operators into one.",
        SPLIT: "Take the selected operators out into a subgraph of their own.",
    }
    st.button(
        label,
        key=f"edit-{kind}",
        icon=icon,
        help=helps[kind],
        shortcut=shortcut,
        disabled=disabled,
        on_click=_selected_into,
        args=(study, kind),
    )


def _selected_into(study: Study, kind: str, target: int | None = None) -> None:
    """Edits what is selected when the click arrives, which may be more recent than the page."""
    study.edit(kind, state.session().selected.operators, target)


def _move(study: Study, operators: tuple[int, ...]) -> None:
    """The subgraphs around the selection, each a button, and all others to be found by typing."""
    partition = study.history.present
    beside, others = targets(study.graph, partition, operators)
    disabled = not (beside or others)
    popover = st.popover(
        "Move to",
        icon=":material/arrow_forward:",
        disabled=disabled,
        help="Put the selected operators into another subgraph.",
        key=MOVE_KEY,
        on_change="rerun",  # only so can it be closed
    )
    with popover, st.container(width=MOVE_WIDTH, gap="xsmall"):
        with st.container(gap=None):
            for target in beside[:MAX_BUTTONS]:
                st.button(
                    plain(describe.target_line(study.graph, partition, target, operators)),
                    key=f"move-to-{target}",
                    type="tertiary",
                    on_click=_move_to,
                    args=(study, target),
                )
        if rest := beside[MAX_BUTTONS:] + others:
            _move_to_another(study, partition, rest)


def _move_to(study: Study, target: int) -> None:
    """Moves what is selected, and closes the popover, so that the result is seen."""
    st.session_state[MOVE_KEY] = False
    _selected_into(study, MOVE, target)


def _move_to_another(study: Study, partition: Partition, rest: list[int]) -> None:
    """One of many subgraphs, found by its number or by the name of any of its operators."""

    def chosen() -> None:
        target, st.session_state[OTHER_KEY] = st.session_state[OTHER_KEY], None
        if target is not None:
            _move_to(study, target)

    st.selectbox(
        "Another subgraph",
        rest,
        index=None,
        format_func=lambda target: describe.member_line(study.graph, partition, target),
        placeholder="Type its number or an operator",
        filter_mode="contains",
        key=OTHER_KEY,
        on_change=chosen,
    )


def _refused(study: Study) -> None:
    refusal = study.refused.refusal
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="refused"):
        st.markdown(f":small[:material/block: **Not possible:** {plain(refusal.reason)}.]")
        st.button(
            f"Take these along ({len(refusal.take_along)})",
            key="take-along",
            icon=":material/add_link:",
            type="primary",
            help=plain(f"With {names(study.graph, refusal.take_along)} it is possible."),
            on_click=study.take_along,
        )
        st.button("Leave it", key="leave-it", type="tertiary", on_click=study.forget_refusal)

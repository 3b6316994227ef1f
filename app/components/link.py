"""The address of the page: opened where a tab begins or goes back, and written as the work goes on."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

import sample_models
from ago_core.errors import UserError
from app import state
from app.components import compare_view, tuning_view
from app.services import edit_store, uploads
from app.services.address import FILE_DIGITS, PARAMETERS, Address, read_address
from app.services.boards import boards
from app.services.comparing import plans
from app.services.models import DEFAULT_SAMPLE, Choice
from app.services.study import Study
from app.services.tuning import session_store
from visualizers.colouring import Colour

_one_step = st.components.v2.component(
    "ago_one_step", js=(Path(__file__).parent / "link.js").read_text(encoding="utf-8")
)


UNNEEDED = ("lessons",)
"""Paths of pages that need no model: what they show comes first, and then the model is loaded."""


def follow(page: str) -> None:
    """Opens what the address names: in a new tab, after Back and Forward, and behind a link to another page.

    Otherwise the address is only older than the state: what the browser sends was read before the last answer came.

    Args:
        page: path of the page that is shown.
    """
    own = state.session()
    begins, turned, own.page = own.page is None, page != own.page, page
    context = get_script_run_ctx()
    goes_back = context is not None and context.is_history_navigation
    named = {name: st.query_params.get_all(name) for name in st.query_params if name in PARAMETERS}
    if begins or goes_back or (turned and named and named != own.written):
        address, lost = read_address(named)
        own.error = " ".join(lost)
        if address.sessions or goes_back:
            tuning_view.follow(address.sessions)
        if begins or address.model or address.file:
            _open(own, address, later=page in UNNEEDED)
    if page not in UNNEEDED:
        catch_up()


def catch_up() -> None:
    """Requests the model that was put off."""
    own = state.session()
    if own.postponed and own.wanted:
        _open(own, own.wanted[1])


def _open(own: state.Session, address: Address, later: bool = False) -> None:
    upload = uploads.find(address.file) if address.file else None
    if upload:
        choice = Choice(upload.name, address.dims, upload.sha256, upload.path)
    else:
        choice, why = _sample(address)
        if why:  # another model than the address names: what it says of that one means nothing here
            own.error, address = why, Address()
    state.open_link(choice, address, upload, later)


def _sample(address: Address) -> tuple[Choice, str]:
    """The sample that an address names; else the usual one, and a sentence that says why."""
    usual = Choice.sample(DEFAULT_SAMPLE)
    if address.file:
        return usual, (
            f"The address names an uploaded model that is not kept any more, so this is {usual.name}: upload it again."
        )
    try:
        return Choice.sample(address.model or DEFAULT_SAMPLE), ""
    except sample_models.UnknownSample:
        return usual, f"The address names no sample model ({address.model[:40]!r}), so this is {usual.name}."


def arrive() -> None:
    """Once the model is there that an address names, the rest of what it says."""
    own = state.session()
    if own.wanted is None or own.loading or own.choice != own.wanted[0]:
        return
    (_, address), own.wanted = own.wanted, None
    study = state.study()
    study.set(address.settings)
    lost = [own.error] if own.error else []
    for part in (_edits, _panels, _foldings, _colour, _selection, _step, _plans, _results):
        try:
            part(own, study, address)
        except UserError as error:
            lost.append(str(error))
    own.error = " ".join(lost)


def _edits(own: state.Session, study: Study, address: Address) -> None:
    if address.edited:
        study.history = edit_store.find(study.graph, edit_store.edits_folder(), address.edited, address.redo)
        study.forget_refusal()


def _panels(own: state.Session, study: Study, address: Address) -> None:
    wanted = {"left": address.left, "right": address.right}
    own.methods = {side: wanted[side] or usual for side, usual in state.SIDES.items()}
    for method in own.methods.values():
        if method not in study.partitions:
            raise UserError(f"The address names a partition that is not here ({method[:40]!r}).")


def _foldings(own: state.Session, study: Study, address: Address) -> None:
    study.foldings = {}
    for closed, named in ((False, address.folded), (True, address.unfolded)):
        for method, others in named:
            if method not in study.partitions or not study.name_folding(method, closed, others):
                raise UserError(f"The address names subgraphs to fold that are not here ({method[:40]!r}).")


def _colour(own: state.Session, study: Study, address: Address) -> None:
    names = {colour.value: colour for colour in Colour}
    study.colour = names.get(address.colour, Colour.SUBGRAPH)
    if address.colour not in ("", *names):
        raise UserError(f"The address names colours that are not here ({address.colour[:40]!r}).")


def _plans(own: state.Session, study: Study, address: Address) -> None:
    named = {"before": address.before, "after": address.after}
    offered = plans(study, session_store()) if any(named.values()) else {}
    for side, usual in compare_view.FIRST.items():
        compare_view.choose(side, named[side] if named[side] in offered else usual)
    if gone := [key for key in named.values() if key and key not in offered]:
        raise UserError(f"The address names a plan to compare that is not here ({gone[0][:60]!r}).")


def _selection(own: state.Session, study: Study, address: Address) -> None:
    operators, (method, index) = address.operators, address.subgraph or ("", 0)
    if method:
        partition = study.partitions.get(method)
        if partition is None or index >= len(partition):
            raise UserError(f"The address names a subgraph that is not here ('{method[:40]}:{index}').")
        operators = partition.subgraphs[index]
    if operators and operators[-1] >= len(study.graph):
        raise UserError(f"The address names an operator that is not here ({operators[-1]}).")
    state.select(operators, method, index if method else None)


def _step(own: state.Session, study: Study, address: Address) -> None:
    if address.step is None:
        study.show_steps(False)
    elif address.step >= len(study.clustering.steps):
        raise UserError(f"The address names step {address.step + 1} of {len(study.clustering.steps)}.")
    else:
        study.show_steps(True)
        study.step, study.refusals_only = address.step, False


def _results(own: state.Session, study: Study, address: Address) -> None:
    found = boards().find(address.runs) if address.runs else None
    if found is not None:
        own.runs, own.jobs = address.runs, found
    if address.tuned and session_store().folder(address.tuned) is None:
        raise UserError(f"The address names a session that is not there any more ({address.tuned[:60]!r}).")
    own.tuned = address.tuned
    if address.runs and found is None:
        raise UserError("What was run before is not kept by this server any more: run it again.")


def listen() -> None:
    """Makes turning to a page one step of the browser's history; it shows nothing itself."""
    _one_step(key="one-step")


def write() -> None:
    """Lets the address say what is looked at now; the parameters of others stay."""
    own = state.session()
    if own.choice is None and own.wanted is None:
        return
    address = own.wanted[1] if own.wanted else current(own)
    own.written = wanted = address.parameters()
    for name in PARAMETERS:
        if name not in wanted and name in st.query_params:
            del st.query_params[name]
        elif name in wanted and st.query_params.get_all(name) != wanted[name]:
            st.query_params[name] = wanted[name]


def current(own: state.Session) -> Address:
    """The address of what is looked at now."""
    study, selected = state.study(), own.selected
    edited, redo = _kept(own, study)
    shown = {side: state.method(side) for side in state.SIDES}
    whole = selected.subgraph is not None
    foldings = study.named_foldings()
    return Address(
        model="" if own.choice.path else own.choice.name,
        file=own.choice.sha256[:FILE_DIGITS],
        dims=own.choice.dims,
        **{side: "" if method == state.SIDES[side] else method for side, method in shown.items()},
        settings=study.settings,
        edited=edited,
        redo=redo,
        operators=() if whole else selected.operators,
        subgraph=(selected.method, selected.subgraph) if whole else None,
        step=study.step,
        folded=tuple((method, others) for method, closed, others in foldings if not closed),
        unfolded=tuple((method, others) for method, closed, others in foldings if closed),
        colour="" if study.colour is Colour.SUBGRAPH else study.colour.value,
        **{side: "" if key == compare_view.FIRST[side] else key for side, key in compare_view.wanted().items()},
        tuned=own.tuned,
        sessions=tuning_view.watched(),
        runs=own.runs,
    )


def _kept(own: state.Session, study: Study) -> tuple[str, str]:
    """The keys under which the edited partition is kept; computed anew only after an edit."""
    if study.history is None:
        return "", ""
    if own.kept is None or own.kept[0] is not study.history:
        try:
            own.kept = study.history, edit_store.keep(study.history, edit_store.edits_folder())
        except UserError as error:
            own.error = str(error)
            return "", ""
    return own.kept[1]

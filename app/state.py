"""The session's state: every key that the app keeps in `st.session_state`, behind functions with names.

A model goes through three steps: it is *requested* (a sample at once, an upload after its symbolic dimensions have
sizes), a worker loads it while the former model stays on the page, and `settle` then makes it the current one or keeps
the sentence that says why not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from ago_core.errors import UserError
from ago_core.partition.history import History
from ago_core.partition.partition import Partition
from app.services.address import Address
from app.services.boards import Board, boards
from app.services.jobs import Job, State, Work, job_queue
from app.services.loaded import Loaded
from app.services.models import DEFAULT_SAMPLE, Choice, model_store
from app.services.study import EDITED, Study
from app.services.tuning import result, session_store
from app.services.uploads import Upload, store
from app.services.worker import Task

SIDES = {"left": "heuristic", "right": "ago"}
"""The panels, and what each shows at first."""

INSPECTOR_TAB = "inspector-tab"
OPERATORS_TAB, WHY_TAB = "operators", "why"
TUNED = "tuned"
"""What a tuning session found, beside the methods that partition."""
RECENT = 6
"""Models that a tab can go back to at once; the uploads among them are kept for that."""


@dataclass(frozen=True)
class Selected:
    """What is selected, in whichever panel.

    Attributes:
        operators: ids, ascending.
        method: the partition whose subgraph's box was clicked, or "".
        subgraph: its index there, or None where operators were selected.
    """

    operators: tuple[int, ...] = ()
    method: str = ""
    subgraph: int | None = None


@dataclass
class Draft:
    """An upload that is not the current model yet.

    Attributes:
        upload: the file.
        task: examines it.
        symbols: its symbolic dimensions, where each is used; None before the task is done.
    """

    upload: Upload
    task: Task
    symbols: dict[str, list[str]] | None = None


@dataclass
class Session:
    """One browser tab.

    Attributes:
        loaded: the current model, which sessions share.
        choice: how this session chose it: the file that it sent, not one that another session sent before.
        upload: the file behind it, kept from being deleted.
        recent: the models that this session had last, the current one at the end, each with its upload.
        loading: the choice and task of a model on its way.
        draft: the last upload; its sizes can be chosen anew after it was loaded.
        sample: the last one that was requested, such as "squeezenet@56".
        own_file: whether the sidebar offers to upload a file, instead of the samples.
        wanted: the model and the address that is being opened, until that model is there.
        postponed: whether that model is still to be requested.
        written: what stands in the address.
        kept: the edited partition that was kept last, and its keys in the address.
        page: path of the page that was shown last; None before the first one.
        error: one sentence about the last choice, or "".
        selected: in the panels.
        tuned: key of the tuning session whose result can be compiled, or "".
        methods: the partition that the left and the right panel show.
        studies: what this session does with each model.
        runs: key of `jobs`, by which an address names them; "" before the first one.
        jobs: for each kind of work the last job that is done, and the one after it.
    """

    loaded: Loaded | None = None
    choice: Choice | None = None
    upload: Upload | None = None
    recent: dict[Choice, Draft | None] = field(default_factory=dict)
    loading: tuple[Choice, Task] | None = None
    draft: Draft | None = None
    sample: str = DEFAULT_SAMPLE
    own_file: bool = False
    wanted: tuple[Choice, Address] | None = None
    postponed: bool = False
    written: dict[str, list[str]] = field(default_factory=dict)
    kept: tuple[History, tuple[str, str]] | None = None
    page: str | None = None
    error: str = ""
    selected: Selected = field(default_factory=Selected)
    tuned: str = ""
    methods: dict[str, str] = field(default_factory=lambda: dict(SIDES))
    studies: dict[Choice, Study] = field(default_factory=dict)
    runs: str = ""
    jobs: Board = field(default_factory=dict)


def session() -> Session:
    """This tab's state."""
    if "session" not in st.session_state:
        st.session_state.session = Session()
    return st.session_state.session


def request_sample(spec: str) -> None:
    """Loads a sample, such as "squeezenet@56". Raises sample_models.UnknownSample: there is no such one."""
    choice = Choice.sample(spec)
    session().error, session().draft = "", None
    _request(choice)


def _request(choice: Choice, upload: Upload | None = None) -> None:
    own = session()
    own.loading = choice, model_store().request(choice, keep=upload)
    if own.wanted and own.wanted[0] != choice:
        own.wanted = None
    own.own_file = choice.path is not None
    if not own.own_file:
        own.sample = choice.name


def reopen(choice: Choice) -> None:
    """Goes back to one of the recent models."""
    own = session()
    own.error, own.draft = "", own.recent[choice]
    _request(choice, own.draft.upload if own.draft else None)


def open_link(choice: Choice, address: Address, upload: Upload | None, later: bool = False) -> None:
    """Requests the model that an address names; the rest of the address follows once it is there.

    Args:
        later: the model is only named, and the request `postponed` until this is called again.
    """
    own = session()
    own.wanted, own.draft, own.loading, own.own_file = (choice, address), None, None, upload is not None
    own.postponed = later and choice != own.choice
    if choice == own.choice:
        own.draft = own.recent.get(choice)
        return
    if own.postponed:
        own.sample = own.sample if upload else choice.name
        return
    if upload:
        _examine(upload)
    if choice.dims or not upload:
        _request(choice, upload)


def shows_sample() -> bool:
    """Whether the model on its way, or else the current one, is a sample."""
    own = session()
    if own.loading:
        return own.loading[0].path is None
    return own.draft is None and own.choice is not None and own.choice.path is None


def receive_upload(name: str, content: bytes | memoryview) -> None:
    """Stores an uploaded file and has it examined; `settle` goes on from there."""
    own = session()
    own.error, own.loading, own.wanted = "", None, None
    _examine(store(name, content))


def _examine(upload: Upload) -> None:
    session().draft = Draft(upload, model_store().examine(upload))


def drop_upload() -> None:
    """Forgets an upload that is not the current model."""
    own = session()
    own.error, own.draft = "", None


def request_upload(dims: dict[str, int]) -> None:
    """Loads the upload that was examined, with sizes for its symbolic dimensions."""
    session().error = ""
    _request_draft(dims)


def _request_draft(dims: dict[str, int]) -> None:
    upload = session().draft.upload
    _request(Choice(upload.name, tuple(sorted(dims.items())), upload.sha256, upload.path), upload)


def settle() -> None:
    """Takes over what the worker has finished."""
    own = session()
    _settle_draft(own)
    if own.loading is None or not own.loading[1].done:
        return
    choice, task = own.loading
    own.loading = None
    if task.error:
        own.error = task.error
        return
    own.loaded, own.choice, own.selected = task.result, choice, Selected()
    for study_of_another in own.studies.values():
        study_of_another.leave()
    own.studies.setdefault(choice, Study()).loaded = own.loaded
    own.upload = own.draft.upload if own.draft and choice.path else None
    own.recent.pop(choice, None)
    own.recent[choice] = own.draft if choice.path else None
    for oldest in list(own.recent)[:-RECENT]:
        del own.recent[oldest]


def _settle_draft(own: Session) -> None:
    """An examined upload without symbolic dimensions is loaded at once."""
    draft = own.draft
    if draft is None or draft.symbols is not None or not draft.task.done:
        return
    if draft.task.error:
        own.error, own.draft = draft.task.error, None
        return
    draft.symbols = draft.task.result
    if not draft.symbols:
        _request_draft({})


def missing_sizes() -> dict[str, list[str]]:
    """Symbolic dimensions of the last upload, whose sizes the user chooses: symbol → where it is used."""
    draft = session().draft
    return (draft.symbols if draft else None) or {}


def busy() -> Task | None:
    """The task that the page waits for."""
    own = session()
    if own.loading:
        return own.loading[1]
    return own.draft.task if own.draft and own.draft.symbols is None else None


def busy_with() -> str:
    """The name of the model on its way."""
    own = session()
    return own.loading[0].name if own.loading else own.draft.upload.name


def study() -> Study:
    """What this session does with the current model."""
    own = session()
    return own.studies[own.choice]


def method(side: str) -> str:
    """The partition that a panel shows: the chosen one, where the current model has it."""
    chosen = session().methods[side]
    return chosen if chosen in study().partitions else SIDES[side]


def edit_copy(side: str) -> None:
    """Turns a panel to the edited partition, made a copy of what the panel shows."""
    study().edit_copy(method(side))
    session().methods[side] = EDITED


def select(operators: Sequence[int], method: str = "", subgraph: int | None = None) -> None:
    """Selects operators, or a subgraph with its operators, and turns the inspector to them."""
    session().selected = Selected(tuple(operators), method if subgraph is not None else "", subgraph)
    if st.session_state.get(INSPECTOR_TAB) != WHY_TAB:
        st.session_state[INSPECTOR_TAB] = session().selected.method or OPERATORS_TAB
    study().forget_refusal()


def asks_why() -> bool:
    """Whether the inspector says why operators are, or are not, together."""
    return st.session_state.get(INSPECTOR_TAB) == WHY_TAB


def start(kind: str, method: str) -> Job:
    """Submits a "run" or "export" of the current model under one of its partitions, as it is now."""
    return submit(work(kind, method))


def submit(wanted: Work) -> Job:
    """Has some work on the current model done."""
    own = session()
    job = job_queue().submit(wanted, keep=own.upload)
    done = done_job(wanted)
    if not own.runs:
        own.runs, own.jobs = boards().new()
    own.jobs[wanted] = [done, job] if done else [job]
    return job


def last_job(kind: str, method: str) -> Job | None:
    """The last job of this kind for the current model and partition, whatever became of it."""
    return latest_job(work(kind, method))


def last_done(kind: str, method: str) -> Job | None:
    """The last job of this kind for the current model and partition that has a result."""
    return done_job(work(kind, method))


def latest_job(wanted: Work) -> Job | None:
    """The last job that did, or is to do, some work, whatever became of it."""
    jobs = session().jobs.get(wanted)
    return jobs[-1] if jobs else None


def done_job(wanted: Work) -> Job | None:
    """The last job that did some work and has a result."""
    return next((job for job in reversed(session().jobs.get(wanted, [])) if job.state is State.DONE), None)


def work(kind: str, method: str) -> Work:
    """On the current model, under one of its partitions or as the chosen session tuned it."""
    if method != TUNED:
        return Work(kind, session().choice, study().partitions[method])
    folder, partition, version = _tuned()
    return Work(kind, session().choice, partition, (folder, version))


def compilable() -> dict[str, Partition]:
    """What can be compiled: the partitions of the current model, and what the chosen session found."""
    found = _tuned()
    return {**study().partitions, **({TUNED: found[1]} if found else {})}


def _tuned() -> tuple[Path, Partition, int] | None:
    """Folder, partition and version of the chosen session's result; None where there is none of this model."""
    folder = session_store().folder(session().tuned)
    if folder is None:
        return None
    try:
        return folder, *result(folder, study().graph)
    except UserError:
        return None


def active_jobs() -> list[Job]:
    """This session's jobs that wait or run, of all models and partitions."""
    return [jobs[-1] for jobs in session().jobs.values() if jobs[-1].active]


def is_of_another(job: Job) -> bool:
    """Whether a job is of another model than the current one, or of a partition that it no longer has."""
    if job.work.choice != session().choice:
        return True
    return job.work.tuned is None and job.work.partition not in study().partitions.values()

"""Why two operators are, or are not, together: the answer for each panel's partition."""

from __future__ import annotations

import streamlit as st

from app import state
from app.components.text import plain
from app.services.answers import Answer, answer, reuse_sentence
from app.services.loaded import METHOD_NAMES
from app.services.study import Study


def can_ask(study: Study, operators: tuple[int, ...]) -> bool:
    return bool(_answers(study, operators))


def why(study: Study, operators: tuple[int, ...]) -> None:
    answers = _answers(study, operators)
    for (method, found), column in zip(answers.items(), st.columns(2)):
        with column:
            verdict = ":green-badge[together]" if found.together else ":orange-badge[apart]"
            asked = " and ".join(study.graph.operators[op].name for op in found.operators)
            st.markdown(f"**{METHOD_NAMES[method]}**: {plain(asked)} {verdict}")
            st.markdown("  \n".join(f":small[{plain(sentence)}]" for sentence in found.sentences))
            if found.cycle:
                st.caption("The panel above shows the path.")
    for pair in dict.fromkeys(found.operators for found in answers.values()):
        if sentence := reuse_sentence(study.graph, *pair):
            st.caption(plain(sentence))


def _answers(study: Study, operators: tuple[int, ...]) -> dict[str, Answer]:
    """For each partition that a panel shows, where the selection asks about a pair of it."""
    shown = dict.fromkeys(state.method(side) for side in state.SIDES)
    return {method: found for method in shown if (found := answer(study, method, operators))}

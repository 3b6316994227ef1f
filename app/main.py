"""AGO Explorer: `streamlit run app/main.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # streamlit puts only this file's folder there

import streamlit as st

from app import state
from app.components import keys, link
from app.components.ahead import load_ahead
from app.components.sidebar import sidebar

ICON = Path(__file__).with_name("icon.svg")
"""A file of ours: for a Material icon the browser would ask a server of Google's."""

# The folder is not called "pages": Streamlit would take that for its older way of making pages.
st.set_page_config(page_title="AGO Explorer", page_icon=str(ICON), layout="wide")
pages = [  # in the order of the work
    st.Page("screens/explore.py", title="Model & Partition", icon=":material/account_tree:", default=True),
    st.Page("screens/compare.py", title="Compare", icon=":material/balance:"),
    st.Page("screens/tune.py", title="Tune", icon=":material/trending_down:"),
    st.Page("screens/run.py", title="Run", icon=":material/speed:"),
    st.Page("screens/export.py", title="Export", icon=":material/package_2:"),
    st.Page("screens/lessons.py", title="Lessons", icon=":material/school:"),
]
page = st.navigation(pages, position="top")
link.follow(page.url_path)
state.settle()
link.arrive()
sidebar()
page.run()
link.catch_up()
keys.listen()
link.listen()
load_ahead()
link.write()

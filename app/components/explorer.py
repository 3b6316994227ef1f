"""The panels with the inspector below them."""

from __future__ import annotations

from app.components.differences import differences
from app.components.guard import guarded
from app.components.inspector import inspector
from app.components.panels import panels
from app.services.study import Study


def explorer(study: Study) -> None:
    guarded(panels, study)
    guarded(differences, study)
    guarded(inspector, study)

from app.components.export_page import export
from app.components.frame import with_model

with_model(export)

from app.components.explorer import explorer
from app.components.frame import with_model

with_model(explorer)

from app.components.frame import with_model
from app.components.runner import runner

with_model(runner)

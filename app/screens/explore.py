from app.components.explorer import explorer
from app.components.frame import alone

alone(explorer)

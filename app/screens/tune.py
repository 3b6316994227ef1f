from app.components.frame import roomy
from app.components.guard import guarded
from app.components.tuning_page import tuning

roomy()
guarded(tuning)

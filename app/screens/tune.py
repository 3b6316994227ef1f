from app.components.frame import without_model
from app.components.tuning_page import tuning

without_model(tuning)

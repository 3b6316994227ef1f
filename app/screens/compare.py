from app.components.comparison import comparison
from app.components.frame import with_model

with_model(comparison)

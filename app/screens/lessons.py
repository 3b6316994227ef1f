from app.components.frame import roomy
from app.components.guard import guarded
from app.lessons.page import lessons

roomy()
guarded(lessons)

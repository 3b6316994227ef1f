from app.components.frame import without_model
from app.lessons.page import lessons

without_model(lessons)

# %% jupyter={"source_hidden": true}
# Grade my notebook: run this cell, then press the button
from gpt2_lib.course.page.own_grade import GradeMyNotebook

GradeMyNotebook("phase1_overview")

"""The answer check: is the answer of a response the reference answer? The reward 1[a = a*] of the paper.

`docs/answers.md` has the rules as one table. A wrong answer that is accepted trains the wrong thing, so what a rule
can't read is wrong: nothing is mapped to the nearest option, and the last number of a text is never its answer.
"""

from mstar.answers.check import check
from mstar.answers.find import find_answer
from mstar.answers.records import answer_of
from mstar.answers.rule import DEFAULT_RULE, AnswerPlace, AnswerRule

__all__ = ["DEFAULT_RULE", "AnswerPlace", "AnswerRule", "answer_of", "check", "find_answer"]

"""What one step does to a used part, by name: a group of parameters may have a rule of its own."""

from nasrec_nni.operators.optimizers.rules.adagrad import AdagradRule
from nasrec_nni.operators.optimizers.rules.adam import AdamRule
from nasrec_nni.operators.optimizers.rules.rowwise import RowwiseRule
from nasrec_nni.operators.optimizers.rules.rule import Rule

RULES: dict[str, Rule] = {"adagrad": AdagradRule(), "rowwise-adagrad": RowwiseRule(), "adam": AdamRule()}

__all__ = ["RULES", "Rule"]

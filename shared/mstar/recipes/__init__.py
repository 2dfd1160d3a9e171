"""Recipes: everything that defines a run, as frozen values read from YAML.

Each arm of the paper's tables 1 to 3 is a recipe in the same code path. Unknown keys are refused, so a misspelt option
can't silently fall back to a default. Reading files is the caller's job: this package takes text or mappings. A section
of the recipe is a file here, but for those that other rules share: `train_recipe`, `selection_rules`, `prompts` and
`answers.rule`. `recipe` joins them and holds what binds one section to another.
"""

from mstar.recipes.evaluation import EvaluationRecipe
from mstar.recipes.evolution import EvolutionRecipe, InitFrom, OptimizerState, UnlabelledRecipe
from mstar.recipes.exploration import PAPER_GRID, Estimator, ExplorationMode, ExplorationRecipe
from mstar.recipes.inputs import DataRecipe, GenerationRecipe, ModelRecipe
from mstar.recipes.measure import MeasuredSet, MeasureRecipe
from mstar.recipes.parsing import parse_recipe, parse_recipe_yaml, recipe_values
from mstar.recipes.prm import LabelRule, PrmRecipe
from mstar.recipes.recipe import Recipe
from mstar.recipes.splits import STEPS, split_field
from mstar.recipes.warmup import WarmupRecipe

__all__ = [
    "PAPER_GRID",
    "STEPS",
    "DataRecipe",
    "Estimator",
    "EvaluationRecipe",
    "EvolutionRecipe",
    "ExplorationMode",
    "ExplorationRecipe",
    "GenerationRecipe",
    "InitFrom",
    "LabelRule",
    "MeasureRecipe",
    "MeasuredSet",
    "ModelRecipe",
    "OptimizerState",
    "PrmRecipe",
    "Recipe",
    "UnlabelledRecipe",
    "WarmupRecipe",
    "parse_recipe",
    "parse_recipe_yaml",
    "recipe_values",
    "split_field",
]

"""The configuration reference: every key of the typed config with what it takes, its default and its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from nasrec_nni.config import BUDGETS, PRESETS, Config, Recipe, SweepConfig
from nasrec_nni.plugins import OWN, registry

HEAD = """# Configuration

A run is one YAML file. Every key has a default, so an empty file is a config; `nasrec ls examples` lists some to start
from. Unknown keys are refused. `nasrec validate CONFIG` tells every mistake at once, with its dotted key.

<!-- test: config -->
```yaml
data: {prepared: data/clicks}
space: {name: nasrec-full, blocks: 4}
search: {candidates: 100}
retrain: {recipe: bars, seeds: [0, 1]}
```

On the command line `key=value` changes a key of the file: `nasrec run my.yaml search.candidates=300 --out RUN`. The
config as it was understood, with all defaults, stands in `RUN/config.yaml`.

This page is made from the typed config (`nasrec_nni/config.py`) when the site is built.
"""
TITLES = {
    "": "The run",
    "data": "data: the rows",
    "space": "space: what may be built",
    "supernet": "supernet: training the one network",
    "search": "search: scoring candidates",
    "search.limits": "search.limits: what no candidate may cost",
    "retrain": "retrain: training from scratch",
    "retrain.sweep": "retrain.sweep: a recipe for each model",
    "workers": "workers: processes of a search",
    "recipe": "Recipes",
}
SECTIONS = {
    "data": "where the rows come from",
    "space": "what may be built",
    "supernet": "how the one network is trained",
    "search": "how candidates are proposed and scored",
    "limits": "what no candidate may cost",
    "retrain": "how the best are trained from scratch, and beside what",
    "workers": "what the processes of a search may use",
    "recipe": "how it is trained; `published` if unset",
}
RECIPE = """A recipe stands under `supernet.recipe` and `retrain.recipe`. `recipe: bars` is short for
`recipe: {preset: bars}`; keys beside `preset` win over it, and other keys have the defaults of the table. A supernet
takes neither `schedule: plateau` nor `patience` nor `monitor`, and has three epochs on a cosine under `bars`.
"""


def page(root: Path) -> str:
    """Markdown of the page."""
    schema = Config.model_json_schema()
    parts = [HEAD, section("", schema, schema)]
    for name in ("data", "space", "supernet", "search", "retrain", "workers"):
        owner = schema["$defs"][f"{name.capitalize()}Config"]
        parts.append(section(name, owner, schema))
        if name == "search":
            parts += [section("search.limits", schema["$defs"]["LimitsConfig"], schema), algorithms()]
        if name == "retrain":
            parts.append(section("retrain.sweep", SweepConfig.model_json_schema(), schema))
    return "\n".join([*parts, section("recipe", Recipe.model_json_schema(), schema, RECIPE), presets()])


def section(name: str, owner: dict[str, Any], schema: dict[str, Any], words: str | None = None) -> str:
    """A heading, what the section is, and a line a key."""
    level = "###" if "." in name else "##"
    lines = [row(name, key, one) for key, one in owner["properties"].items()]
    about = words or " ".join(owner.get("description", "").split("\n\n")[0].split())
    anchor = name.replace(".", "-") or "run"
    table = "\n".join(["| key | meaning | takes | default |", "|---|---|---|---|", *lines])
    return f"{level} {TITLES[name]} {{: #{anchor} }}\n\n{about}\n\n{table}\n"


def row(section: str, key: str, one: dict[str, Any]) -> str:
    """A line of the table."""
    meaning = one.get("description", "").replace("|", "\\|")
    below = _reference(one)
    if below:
        anchor = "recipe" if below == "Recipe" else f"{section}-{key}".strip("-")
        return f"| `{key}` | {meaning or SECTIONS[key]} | [keys below](#{anchor}) | {_default(one)} |"
    return f"| `{key}` | {meaning} | {takes(one)} | {_default(one)} |"


def _reference(one: dict[str, Any]) -> str | None:
    choices = [one, *one.get("anyOf", [])]
    return next((choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice), None)


def takes(one: dict[str, Any]) -> str:
    """What a key takes, in words, from its JSON schema."""
    if "anyOf" in one:
        return " or ".join(dict.fromkeys(takes(choice) for choice in one["anyOf"] if choice.get("type") != "null"))
    if "enum" in one or "const" in one:
        return ", ".join(f"`{value}`" for value in one.get("enum", [one.get("const")]))
    kind = one.get("type")
    if kind == "array":
        return f"list: {takes(one['items'])}" + (f"; {one['minItems']} or more" if "minItems" in one else "")
    name = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true`, `false`"}
    return name.get(str(kind), "mapping") + _range(one)


def _range(one: dict[str, Any]) -> str:
    least, above = one.get("minimum"), one.get("exclusiveMinimum")
    most, below = one.get("maximum"), one.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None and below is not None:
        return f" from {least}, below {'2³²' if below == 2**32 else below}"
    if least is not None:
        return f", {least} or more"
    return f" above {above}" if above is not None else ""


def _default(one: dict[str, Any]) -> str:
    if "default" not in one:
        return ""
    value = one["default"]
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def presets() -> str:
    """What the presets fill, and those of a candidate's budget."""
    keys = list(dict.fromkeys(key for values in PRESETS.values() for key in values))
    lines = ["| key | " + " | ".join(f"`{name}`" for name in PRESETS) + " |", "|---|" + "---|" * len(PRESETS)]
    default = {name: field.default for name, field in Recipe.model_fields.items()}
    lines += [
        f"| `{key}` | " + " | ".join(f"`{values.get(key, default[key])}`" for values in PRESETS.values()) + " |"
        for key in keys
    ]
    budget = ", ".join(f"`{key}: {value}`" for key, value in BUDGETS["published"].items())
    return (
        "### Presets {: #presets }\n\n`published` is NASRec, authors' implementation; `bars` is the habit of the "
        "public leaderboards.\n\n" + "\n".join(lines) + f"\n\n`search.preset: published` fills {budget}.\n"
    )


def algorithms() -> str:
    """Options of the algorithms that are built in."""
    parts = ["### search.options: of the algorithms {: #search-options }\n"]
    for name in registry("search").names():
        if registry("search").owner(name) != OWN:
            continue
        found = registry("search").load(name)
        model = _options_of(found)
        if model is None:
            continue
        lines = [row("search.options", key, one) for key, one in model.model_json_schema()["properties"].items()]
        table = "\n".join(["| key | meaning | takes | default |", "|---|---|---|---|", *lines])
        parts.append(f"`{name}`:\n\n{table}\n")
    return "\n".join(parts)


def _options_of(algorithm: Any) -> type[BaseModel] | None:
    """The typed options next to an algorithm, if it has any."""
    module = __import__(algorithm.__module__, fromlist=["*"])
    names = [name for name in vars(module) if name.endswith("Options") and name != "Options"]
    return getattr(module, names[0]) if names else None

"""CloudFormation templates in YAML, with the short forms of functions.

As a program: prints the template given as JSON, in which functions have their long forms.
"""

import json
import sys

import yaml


class _Loader(yaml.SafeLoader):
    """Knows !Ref and its kind."""


def _function(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)


def parse_template(text):
    return yaml.load(text, _Loader)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as template:
        json.dump(parse_template(template.read()), sys.stdout, indent=1)

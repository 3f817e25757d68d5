"""papermill's parameters in Rust.

papermill adds a cell below the one tagged `parameters`. There each parameter takes the type that it has in the
tagged cell, so `epochs: 5` fits `let epochs: usize = 20;` and `SEED: 7` fits `const SEED: u64 = 42;`. A name that the
tagged cell lacks is a compile error. What the tagged cell itself computes from a parameter stays as it is.
papermill knows Rust as soon as this package is installed: its entry point for engines loads this module.
"""

import re
import threading

from papermill.engines import NBClientEngine
from papermill.exceptions import PapermillException
from papermill.models import Parameter
from papermill.translators import Translator, papermill_translators


DECLARATION = re.compile(
    r"""^\s*(?P<kind>let(?:\s+mut)?|const)\s+(?P<name>\w+)\s*(?::\s*(?P<type>[^=]+?))?\s*
    =\s*(?P<default>.*?);\s*(?://\s*(?P<help>.*))?$""",
    re.M | re.X,
)


class RustTranslator(Translator):
    inspected = threading.local()  # types of the constants in the tagged cell, which papermill shows before it assigns

    @classmethod
    def inspect(cls, parameters_cell):
        found = list(DECLARATION.finditer(parameters_cell.source))
        cls.inspected.constants = {each["name"]: each["type"] for each in found if each["kind"] == "const"}
        return [Parameter(each["name"], each["type"] or "None", each["default"], each["help"] or "") for each in found]

    @classmethod
    def translate_escaped_str(cls, str_val):
        escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
        return '"' + "".join(escapes.get(character, character) for character in str(str_val)) + '".into()'

    @classmethod
    def translate_none(cls, val):
        return "None"

    @classmethod
    def translate_float(cls, val):
        if val != val or val in (float("inf"), float("-inf")):
            raise PapermillException(f"the parameter {val} is not finite: give a number")
        return repr(val)

    @classmethod
    def translate_list(cls, val):
        return f"vec![{', '.join(map(cls.translate, val))}]"

    @classmethod
    def translate_dict(cls, val):
        raise PapermillException(f"{val}: a Rust parameter is a number, a text, true, false, null or a list of these")

    @classmethod
    def comment(cls, cmt_str):
        return f"// {cmt_str}".strip()

    @classmethod
    def assign(cls, name, str_val):
        if constant := getattr(cls.inspected, "constants", {}).get(name):
            return f"const {name}: {constant} = {str_val.removesuffix('.into()')};"
        return f"let mut {name} = {{ let mut same_type = {name}; same_type = {str_val}; same_type }};"


papermill_translators.register("rust", RustTranslator)
Engine = NBClientEngine  # what papermill gets for the entry point

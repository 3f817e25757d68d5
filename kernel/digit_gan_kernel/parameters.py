"""papermill's parameters in Rust.

papermill adds a cell below the one tagged `parameters`. There each parameter takes the type that it has in the
tagged cell, so `epochs: 5` fits `let epochs: usize = 20;`. A name that the tagged cell lacks is a compile error.
papermill knows Rust as soon as this package is installed: its entry point for engines loads this module.
"""

from papermill.engines import NBClientEngine
from papermill.exceptions import PapermillException
from papermill.translators import Translator, papermill_translators


class RustTranslator(Translator):
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
        return f"let mut {name} = {{ let mut same_type = {name}; same_type = {str_val}; same_type }};"


papermill_translators.register("rust", RustTranslator)
Engine = NBClientEngine  # what papermill gets for the entry point

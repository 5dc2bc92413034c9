#!/usr/bin/env python3
"""Checks what the compiler does not: the direction of includes, and the house style.

Usage: check_layers.py [ROOT]

Over every #include of lambdaml/ and apps/:
  - a module includes only itself and modules of lower layers that its DEPS reach; layers and DEPS
    are read from the lambdaml_add_library(...) declarations, so CMake and this check agree;
  - a third-party header stands only in .cc files, and only in the module that owns its library.
Over every .h and .cc of lambdaml/, apps/, tests/ and bench/:
  - lines of at most 100 columns, functions of at most 70 lines, files of at most 500 lines;
  - headers begin with a comment and have no "using namespace"; macros start with LAMBDAML_.

Prints "path:line: what" for each finding and ends with 1 if there is any.
"""

import re
import sys
from pathlib import Path

LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500

# The module (or the folder of apps/) that owns each third-party library, by header prefix; two of
# one layer may share one.
THIRD_PARTY_OWNERS = {
    "CLI/": "apps/lambdaml",
    "boost/": "faas",
    "curl/": "net",
    "dnnl.hpp": "nn",
    "hiredis/": "store",
    "jpeglib.h": "picture",
    "libdeflate.h": "data",
    "nlohmann/": "base",
    "openssl/": "net",
    "png.h": "picture",
    "pugixml.hpp": ("aws", "store"),
    "thrift/": "ps",
    "toml++/": "apps/lambdaml",
    "xxhash.h": "base",
    "zlib.h": "data",
    "zstd.h": "data",
}
# Used in every .cc: the vocabulary for formatting.
THIRD_PARTY_EVERYWHERE = ("fmt/",)
TEST_ONLY = ("gtest/", "gmock/")

# Headers of the C++ standard library have neither dot nor slash; those of C, POSIX, Linux and the
# compiler that may be used are named here.
SYSTEM_HEADERS = {
    "cpuid.h", "dirent.h", "dlfcn.h", "elf.h", "fcntl.h", "immintrin.h", "netdb.h", "omp.h",
    "poll.h", "pthread.h", "sched.h", "spawn.h", "strings.h", "termios.h", "unistd.h",
}
SYSTEM_FOLDERS = ("arpa/", "linux/", "net/", "netinet/", "sys/")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)")
USING_NAMESPACE = re.compile(r"^\s*using\s+namespace\b")
LIBRARY = re.compile(r"lambdaml_add_library\s*\(([^)]*)\)")
TYPE_OR_NAMESPACE = re.compile(r"(inline\s+)?(class|struct|union|enum|namespace|extern)\b")


class Module:
    """One lambdaml_add_library(name LAYER n ... DEPS ...) declaration."""

    def __init__(self, name, layer, deps):
        self.name = name
        self.layer = layer
        self.deps = deps


def parse_modules(cmake_text):
    """The modules that a CMakeLists.txt declares."""
    modules = []
    text = re.sub(r"#[^\n]*", "", cmake_text)
    for match in LIBRARY.finditer(text):
        words = match.group(1).split()
        lists = {"": []}
        key = ""
        for word in words[1:]:
            if word in ("LAYER", "SOURCES", "DEPS", "LIBS"):
                key = word
                lists.setdefault(key, [])
            else:
                lists[key].append(word)
        layer = lists.get("LAYER") or ["-1"]
        modules.append(Module(words[0], int(layer[0]), lists.get("DEPS", [])))
    return modules


def reachable(modules, name):
    """The module and all that its DEPS reach: what its include path and its linker see."""
    seen = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in seen and current in modules:
            seen.add(current)
            waiting.extend(modules[current].deps)
    return seen


def without_comments_and_strings(text):
    """The text with every comment, string and character literal blanked; lines stay where they are."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|'
        r"(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'", re.DOTALL)
    return pattern.sub(lambda match: "\n" * match.group(0).count("\n") or " ", text)


def opens_function(statement):
    """Whether the brace after `statement`, at namespace or class scope, opens a function's body."""
    statement = statement.strip()
    while statement.startswith("template"):
        depth = 0
        for i, character in enumerate(statement):
            depth += (character == "<") - (character == ">")
            if character == ">" and depth == 0:
                break
        statement = statement[i + 1:].strip()
    return "(" in statement and not TYPE_OR_NAMESPACE.match(statement)


def is_access_specifier(statement, character):
    return character == ":" and statement.strip() in ("public", "protected", "private")


def long_functions(text):
    """(first line, line count) of every function that is too long.

    The source is formatted by clang-format: a body's brace follows white space, that of an
    initialiser does not, or follows "=".
    """
    found = []
    scopes = []  # what each open brace began: "scope", "initialiser", or a function's first line
    statement = ""
    statement_line = 1
    line = 1
    code = without_comments_and_strings(text)
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda match: "\n" * match.group(0).count("\n"),
                  code, flags=re.MULTILINE)
    for i, character in enumerate(code):
        between_functions = all(scope == "scope" for scope in scopes)
        if character == "{":
            is_body = code[i - 1:i].isspace() and not statement.rstrip().endswith("=")
            if not between_functions or not is_body:
                scopes.append("initialiser")
            else:
                scopes.append(statement_line if opens_function(statement) else "scope")
                statement = ""
        elif character == "}":
            closed = scopes.pop() if scopes else "scope"
            if closed != "initialiser":
                statement = ""
            if isinstance(closed, int) and line - closed + 1 > FUNCTION_LINES_MAX:
                found.append((closed, line - closed + 1))
        elif between_functions and (character == ";" or is_access_specifier(statement, character)):
            statement = ""
        elif not statement.strip() and not character.isspace():
            statement, statement_line = character, line
        else:
            statement += character
        line += character == "\n"
    return found


class Checker:
    def __init__(self, root):
        self.root = Path(root)
        self.findings = []
        self.modules = {}

    def report(self, path, line, what):
        self.findings.append((str(path.relative_to(self.root)), line, what))

    def read_modules(self):
        for folder in sorted((self.root / "lambdaml").iterdir()):
            if not folder.is_dir():
                continue
            cmake = folder / "CMakeLists.txt"
            declared = parse_modules(cmake.read_text()) if cmake.exists() else []
            for module in declared:
                self.modules[module.name] = module
            if folder.name not in (module.name for module in declared):
                self.report(cmake, 1, f"declares no lambdaml_add_library({folder.name} ...)")

    def sources(self, *folders):
        for folder in folders:
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in (".h", ".cc"):
                    yield path

    def owner_of(self, path):
        """The module a file belongs to, or "apps/<program>"."""
        parts = path.relative_to(self.root).parts
        return parts[1] if parts[0] == "lambdaml" else "/".join(parts[:2])

    def check_include(self, path, line, kind, header):
        owner = self.owner_of(path)
        if header.startswith("lambdaml/"):
            self.check_module_include(path, line, owner, header.split("/")[1])
        elif header.startswith("apps/") and owner in self.modules:
            self.report(path, line, f"module {owner} includes a program's header {header}")
        elif kind == '"' and not header.startswith("apps/"):
            self.report(path, line, f'"{header}" is not a path from the root of the repository')
        elif kind == "<":
            self.check_foreign_include(path, line, owner, header)

    def check_module_include(self, path, line, owner, name):
        if name not in self.modules:
            self.report(path, line, f"there is no module {name}")
        elif owner in self.modules and owner != name:
            own, other = self.modules[owner], self.modules[name]
            if other.layer >= own.layer:
                self.report(path, line, f"module {owner} (layer {own.layer}) includes module {name} "
                                        f"(layer {other.layer})")
            elif name not in reachable(self.modules, owner):
                self.report(path, line, f"module {owner} includes module {name}, which its DEPS do "
                                        "not reach")

    def check_foreign_include(self, path, line, owner, header):
        is_standard = "." not in header and "/" not in header
        if is_standard or header in SYSTEM_HEADERS or header.startswith(SYSTEM_FOLDERS):
            return
        if header.startswith(TEST_ONLY):
            self.report(path, line, f"<{header}> belongs to tests")
            return
        if path.suffix == ".h":
            self.report(path, line, f"third-party header <{header}> in a header")
        if header.startswith(THIRD_PARTY_EVERYWHERE):
            return
        owners = []
        for prefix, owned_by in THIRD_PARTY_OWNERS.items():
            if header.startswith(prefix):
                owners.extend([owned_by] if isinstance(owned_by, str) else owned_by)
        if not owners:
            self.report(path, line, f"<{header}> has no owner in tools/check_layers.py")
        elif owner not in owners:
            self.report(path, line,
                        f"<{header}> belongs to {' and '.join(owners)}, not to {owner}")

    def check_style(self, path):
        text = path.read_text(encoding="utf-8")
        lines = text.split("\n")
        line_count = len(text.splitlines())
        if line_count > FILE_LINES_MAX:
            self.report(path, line_count, f"{line_count} lines, more than {FILE_LINES_MAX}")
        if path.suffix == ".h" and not text.startswith("//"):
            self.report(path, 1, "a header begins with a comment that says what it is for")
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS_MAX:
                self.report(path, number, f"{len(line)} columns, more than {LINE_COLUMNS_MAX}")
            if path.suffix == ".h" and USING_NAMESPACE.match(line):
                self.report(path, number, "using namespace in a header")
            define = DEFINE.match(line)
            if define and not define.group(1).startswith("LAMBDAML_"):
                self.report(path, number, f"macro {define.group(1)} without the prefix LAMBDAML_")
        for start, length in long_functions(text):
            self.report(path, start, f"function of {length} lines, more than {FUNCTION_LINES_MAX}")

    def run(self):
        self.read_modules()
        for path in self.sources("lambdaml", "apps"):
            for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
                include = INCLUDE.match(line)
                if include:
                    self.check_include(path, number, include.group(1), include.group(2))
        for path in self.sources("lambdaml", "apps", "tests", "bench"):
            self.check_style(path)
        return sorted(self.findings)


def main(arguments):
    if len(arguments) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    root = arguments[0] if arguments else Path(__file__).resolve().parent.parent
    findings = Checker(root).run()
    for path, line, what in findings:
        print(f"{path}:{line}: {what}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

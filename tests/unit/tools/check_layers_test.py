"""Tests of tools/check_layers.py on small made-up trees. Argument: the folder of the tools."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, sys.argv.pop(1))
import check_layers  # noqa: E402

BASE = "lambdaml_add_library(base LAYER 0 SOURCES a.cc LIBS fmt::fmt)\n"
DATA = "lambdaml_add_library(data LAYER 1 SOURCES a.cc DEPS base)\n"
WIRE = "lambdaml_add_library(wire LAYER 1 SOURCES a.cc DEPS base)\n"
STORE = "# a comment (with a bracket)\nlambdaml_add_library(store LAYER 2\n  SOURCES a.cc\n  DEPS wire)\n"


def findings(files):
    """What the checker says of a tree with four modules and `files` (path: text)."""
    tree = {"lambdaml/base/CMakeLists.txt": BASE, "lambdaml/data/CMakeLists.txt": DATA,
            "lambdaml/wire/CMakeLists.txt": WIRE, "lambdaml/store/CMakeLists.txt": STORE, **files}
    with tempfile.TemporaryDirectory() as folder:
        for path, text in tree.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text, encoding="utf-8")
        return ["{}:{}: {}".format(*finding) for finding in check_layers.Checker(folder).run()]


class Includes(unittest.TestCase):
    def test_lower_layers_standard_and_system_headers_are_fine(self):
        self.assertEqual([], findings({"lambdaml/store/a.cc": """
#include "lambdaml/store/a.h"
#include "lambdaml/wire/a.h"
#include "lambdaml/base/a.h"
#include <vector>
#include <sys/stat.h>
#include <unistd.h>
#include <fmt/format.h>
"""}))

    def test_a_higher_layer_is_refused(self):
        self.assertEqual(
            ["lambdaml/base/a.cc:2: module base (layer 0) includes module wire (layer 1)"],
            findings({"lambdaml/base/a.cc": '\n  #  include "lambdaml/wire/a.h"\n'}))

    def test_a_module_of_the_same_layer_is_refused(self):
        self.assertEqual(
            ["lambdaml/data/a.cc:1: module data (layer 1) includes module wire (layer 1)"],
            findings({"lambdaml/data/a.cc": '#include "lambdaml/wire/a.h"\n'}))

    def test_a_lower_module_that_deps_do_not_reach_is_refused(self):
        self.assertEqual(
            ["lambdaml/store/a.cc:1: module store includes module data, which its DEPS do not reach"],
            findings({"lambdaml/store/a.cc": '#include "lambdaml/data/a.h"\n'}))

    def test_an_unknown_module_is_refused(self):
        self.assertEqual(["apps/worker/a.cc:1: there is no module none"],
                         findings({"apps/worker/a.cc": '#include "lambdaml/none/a.h"\n'}))

    def test_programs_may_include_every_module_and_no_module_a_program(self):
        self.assertEqual(
            ["lambdaml/data/a.cc:1: module data includes a program's header apps/worker/a.h"],
            findings({"apps/worker/a.cc": '#include "lambdaml/data/a.h"\n#include "apps/worker/a.h"\n',
                      "lambdaml/data/a.cc": '#include "apps/worker/a.h"\n'}))

    def test_paths_start_at_the_root(self):
        self.assertEqual(
            ['lambdaml/data/a.cc:1: "a.h" is not a path from the root of the repository'],
            findings({"lambdaml/data/a.cc": '#include "a.h"\n'}))

    def test_a_folder_without_a_declaration_is_reported(self):
        self.assertEqual(
            ["lambdaml/nn/CMakeLists.txt:1: declares no lambdaml_add_library(nn ...)"],
            findings({"lambdaml/nn/a.cc": ""}))


class ThirdParty(unittest.TestCase):
    def test_a_library_belongs_to_one_module(self):
        self.assertEqual(
            ["lambdaml/wire/a.cc:1: <zstd.h> belongs to data, not to wire"],
            findings({"lambdaml/data/a.cc": "#include <zstd.h>\n",
                      "lambdaml/wire/a.cc": "#include <zstd.h>\n"}))

    def test_no_header_includes_one(self):
        self.assertEqual(
            ["lambdaml/data/a.h:2: third-party header <zstd.h> in a header",
             "lambdaml/data/a.h:3: third-party header <fmt/format.h> in a header"],
            findings({"lambdaml/data/a.h": "// A.\n#include <zstd.h>\n#include <fmt/format.h>\n"}))

    def test_an_unknown_library_needs_an_owner(self):
        self.assertEqual(
            ["lambdaml/data/a.cc:1: <sqlite3.h> has no owner in tools/check_layers.py"],
            findings({"lambdaml/data/a.cc": "#include <sqlite3.h>\n"}))

    def test_test_libraries_stay_in_tests(self):
        self.assertEqual(
            ["lambdaml/data/a.cc:1: <gtest/gtest.h> belongs to tests"],
            findings({"lambdaml/data/a.cc": "#include <gtest/gtest.h>\n",
                      "tests/unit/data/a_test.cc": "#include <gtest/gtest.h>\n"}))


class Style(unittest.TestCase):
    def test_lines_are_counted_in_characters(self):
        self.assertEqual(
            ["tests/a_test.cc:2: 101 columns, more than 100"],
            findings({"tests/a_test.cc": "// " + "…" * 97 + "\n// " + "x" * 98 + "\n"}))

    def test_long_files_are_reported(self):
        self.assertEqual([], findings({"bench/a.cc": "\n" * 500}))
        self.assertEqual(["bench/a.cc:501: 501 lines, more than 500"],
                         findings({"bench/a.cc": "\n" * 501}))

    def test_headers_begin_with_a_comment(self):
        self.assertEqual(
            ["lambdaml/base/a.h:1: a header begins with a comment that says what it is for"],
            findings({"lambdaml/base/a.h": "#pragma once\n// Late.\n"}))

    def test_headers_use_no_namespace(self):
        self.assertEqual(
            ["lambdaml/base/a.h:2: using namespace in a header"],
            findings({"lambdaml/base/a.h": "// A.\nusing namespace std;\n",
                      "tests/a_test.cc": "using namespace std;\n"}))

    def test_macros_are_prefixed(self):
        self.assertEqual(
            ["lambdaml/base/a.cc:2: macro CHECK without the prefix LAMBDAML_"],
            findings({"lambdaml/base/a.cc": "#define LAMBDAML_OK 1\n # define CHECK(x) x\n"}))


class LongFunctions(unittest.TestCase):
    def lengths(self, text):
        return check_layers.long_functions(text)

    def body(self, statements):
        return "".join("  x = 1;\n" for _ in range(statements))

    def test_seventy_lines_are_allowed_and_seventy_one_are_not(self):
        self.assertEqual([], self.lengths("void F() {\n" + self.body(68) + "}\n"))
        self.assertEqual([(1, 71)], self.lengths("void F() {\n" + self.body(69) + "}\n"))

    def test_the_signature_counts_and_is_where_the_finding_points(self):
        text = "namespace a {\n\n// F.\nint F(int a,\n      int b) {\n" + self.body(68) + "}\n}\n"
        self.assertEqual([(4, 71)], self.lengths(text))

    def test_blocks_and_lambdas_inside_belong_to_the_function(self):
        text = "void F() {\n  if (a) {\n" + self.body(40) + "  }\n  auto f = [] {\n" + self.body(40) + "  };\n}\n"
        self.assertEqual([(1, 86)], self.lengths(text))

    def test_classes_and_namespaces_are_no_functions(self):
        text = "namespace a {\nclass B : public C<int()> {\n" + "  void F() { G(); }\n" * 80 + "};\n}\n"
        self.assertEqual([], self.lengths(text))

    def test_methods_in_classes_are_functions(self):
        text = "template <class T>\nclass B {\n public:\n  void F() const {\n" + self.body(69) + "  }\n};\n"
        self.assertEqual([(4, 71)], self.lengths(text))

    def test_templates_are_functions(self):
        text = "template <class T, std::array<T, (3 > 2)> kA>\nvoid F(T t) {\n" + self.body(70) + "}\n"
        self.assertEqual([(1, 73)], self.lengths(text))

    def test_test_macros_are_functions(self):
        self.assertEqual([(1, 71)], self.lengths("TEST(A, B) {\n" + self.body(69) + "}\n"))

    def test_initialiser_lists_do_not_end_the_signature(self):
        text = "A::A(int b)\n    : b_{b}, c_(G({1, 2})) {\n" + self.body(69) + "}\n"
        self.assertEqual([(1, 72)], self.lengths(text))

    def test_tables_are_no_functions(self):
        self.assertEqual([], self.lengths("const int kA[] = {\n" + "  F(1),\n" * 80 + "};\n"))

    def test_braces_in_strings_comments_and_macros_do_not_count(self):
        text = ('#define LAMBDAML_A(x) \\\n  if (x) {\nvoid F() {\n  G("}{{", R"(}}})", \'}\');  // {{\n'
                '  /* }\n } */\n  n = 1\'000\'000;\n' + self.body(69) + "}\nvoid H() {}\n")
        self.assertEqual([(3, 75)], self.lengths(text))


if __name__ == "__main__":
    unittest.main()

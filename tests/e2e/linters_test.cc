// What the program writes for other systems, checked by what others have written: the template by
// AWS's schema of resources, the Dockerfile by a linter of editors.
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "e2e/workbench.h"
#include "support/servers/server_process.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;

class LintersTest : public Workbench {
 protected:
  void SetUp() override {
    if (!IsInstalled("node") ||
        !base::FileExists(LAMBDAML_LINTERS "/node_modules/dockerfile-utils")) {
      GTEST_SKIP() << "the linters are not installed: tools/install_dependencies.sh test";
    }
    SetEnvironment("NODE_PATH", LAMBDAML_LINTERS "/node_modules");
  }

  // What a checker says of a file; "" if it finds nothing wrong.
  Outcome Check(const std::string& checker, const std::string& file) const {
    return RunShell(fmt::format("{} {}/{} {}", FindProgram("node"), LAMBDAML_LINTER_SCRIPTS,
                                checker, Path(file)));
  }

  base::Json Template() {
    Write("t.yaml", Succeed({"deploy", "--template"}));
    Write("t.json",
          RunTool("/usr/bin/python3", {"-B", LAMBDAML_TEST_AWS "/cfn_yaml.py", "t.yaml"}));
    return base::Json::Parse(Read("t.json"), "template");
  }
};

// Calls `visit` for every text in a value, with the key under which it stands.
void ForEachText(const base::Json& value, const std::string& key,
                 const std::function<void(const std::string&, const std::string&)>& visit) {
  if (value.is_string()) visit(key, value.AsString());
  if (value.is_array()) {
    for (const base::Json& element : value.AsArray()) ForEachText(element, key, visit);
  }
  if (value.is_object()) {
    for (const auto& [name, member] : value.AsObject()) {
      const bool is_function = name.starts_with("Fn::") || name == "Ref" || name == "Arn";
      ForEachText(member, is_function ? key : name, visit);
    }
  }
}

TEST_F(LintersTest, TheTemplateFitsTheSchemaOfAws) {
  Template();
  const Outcome found = Check("check_template.js", "t.json");
  EXPECT_EQ(found.out, "");
  EXPECT_EQ(found.exit_code, 0) << found.err;
}

TEST_F(LintersTest, MistakesInATemplateWouldBeFound) {
  const base::Json good = Template();
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = good.Dump();
    const size_t at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    text.replace(at, from.size(), to);
    Write("broken.json", text);
    return Check("check_template.js", "broken.json").out;
  };
  EXPECT_THAT(broken("\"MemorySize\"", "\"MemoryMb\""), HasSubstr("MemoryMb: no such property"));
  EXPECT_THAT(broken("\"Role\":{\"Fn::GetAtt\"", "\"Rule\":{\"Fn::GetAtt\""),
              HasSubstr("Function: lacks Role"));
  EXPECT_THAT(broken("\"Terminate\"", "\"Never\""), HasSubstr("Function.RecursiveLoop"));
  EXPECT_THAT(broken("AWS::Lambda::Url", "AWS::Lambda::Address"), HasSubstr("there is no type"));
  EXPECT_THAT(broken("{\"Ref\":\"StorageMb\"}", "{\"Ref\":\"DiskMb\"}"),
              HasSubstr("nothing is named DiskMb"));
}

TEST_F(LintersTest, NoPermissionInTheTemplateIsForEverything) {
  int count = 0;
  ForEachText(Template().At("Resources").At("Role"), "", [&](const auto& key, const auto& text) {
    if (key != "Action" && key != "Resource") return;
    ++count;
    EXPECT_NE(text, "*") << key;
    const bool is_pattern = text.find('*') != text.npos;
    EXPECT_FALSE(key == "Action" && is_pattern) << text;
  });
  EXPECT_GT(count, 10);
}

TEST_F(LintersTest, TheDockerfileIsClean) {
  Succeed({"package", "--image", "image"});
  EXPECT_EQ(Check("check_dockerfile.js", "image/Dockerfile").out, "");
  Write("bad", "FROM scratch\nENTRYPOINT \"/var/task/bootstrap\nCOPPY x y\n");
  EXPECT_NE(Check("check_dockerfile.js", "bad").exit_code, 0);
}

}  // namespace
}  // namespace lambdaml::test

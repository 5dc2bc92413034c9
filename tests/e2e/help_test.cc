// --help and --version. The texts are golden files: LAMBDAML_UPDATE_GOLDEN=1 writes them anew.
#include <algorithm>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;

constexpr size_t kLinesMax = 60;
constexpr size_t kColumnsMax = 100;

class HelpTest : public Workbench {
 protected:
  static void ExpectFits(const std::string& text) {
    EXPECT_LE(static_cast<size_t>(std::ranges::count(text, '\n')), kLinesMax);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), kColumnsMax) << line;
      EXPECT_FALSE(line.ends_with(' ')) << "\"" << line << "\"";
    }
  }

  static void ExpectGolden(const std::string& name, const std::string& text) {
    const std::string path = std::string(LAMBDAML_GOLDEN_FOLDER) + "/" + name;
    if (std::getenv("LAMBDAML_UPDATE_GOLDEN") != nullptr) {
      base::WriteFileAtomic(path, base::AsBytes(text));
    }
    EXPECT_EQ(base::MapFile(path).text(), text)
        << "if this is meant, run the test with LAMBDAML_UPDATE_GOLDEN=1";
  }
};

TEST_F(HelpTest, AllOptionsOfATrainingAreShownOnRequest) {
  const std::string all = Succeed({"train", "--help-all"});
  for (const char* option : {"--data", "--round_timeout", "--max_restarts", "--region"}) {
    EXPECT_THAT(all, HasSubstr(option));
  }
  EXPECT_THAT(Succeed({"train", "--help"}), ::testing::Not(HasSubstr("--round_timeout")));
}

TEST_F(HelpTest, EveryCommandHasOneThatFitsTwoScreensAndShowsAnExample) {
  for (const Arguments& command :
       {Arguments{}, Arguments{"train"}, Arguments{"predict"}, Arguments{"evaluate"},
        Arguments{"data"}, Arguments{"data", "describe"}, Arguments{"data", "split"},
        Arguments{"data", "convert"}, Arguments{"data", "generate"}, Arguments{"package"},
        Arguments{"ps"}, Arguments{"deploy"}, Arguments{"destroy"}, Arguments{"status"},
        Arguments{"logs"}, Arguments{"cancel"}}) {
    std::string name = "help";
    std::string line = "lambdaml";
    for (const std::string& word : command) {
      name += "_" + word;
      line += " " + word;
    }
    SCOPED_TRACE(name);
    const std::string text = Succeed(Join(command, Arguments{"--help"}));
    ExpectFits(text);
    EXPECT_THAT(text, HasSubstr("\n  " + line + " ")) << "an example";
    EXPECT_EQ(Succeed(Join(command, Arguments{"-h"})), text);
    ExpectGolden(name + ".txt", text);
  }
}

TEST_F(HelpTest, TheVersionIsTheProjects) {
  EXPECT_EQ(Succeed({"--version"}), "lambdaml " LAMBDAML_PROJECT_VERSION "\n");
}

}  // namespace
}  // namespace lambdaml::test

#include "lambdaml/net/ini.h"

#include <algorithm>
#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::net {
namespace {

constexpr std::string_view kSpaces = " \t";

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

// Up to the first '#' or ';' that follows a space, trimmed.
std::string_view WithoutComment(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    const bool is_mark = text[i] == '#' || text[i] == ';';
    if (is_mark && kSpaces.find(text[i - 1]) != std::string_view::npos) {
      return Trimmed(text.substr(0, i));
    }
  }
  return Trimmed(text);
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

class IniParser {
 public:
  explicit IniParser(std::string_view origin) : origin_(origin) {}

  void AddLine(std::string_view line) {
    ++line_number_;
    if (line.find('\0') != std::string_view::npos) Refuse("a NUL byte");
    const std::string_view trimmed = Trimmed(line);
    if (trimmed.empty() || trimmed.front() == '#' || trimmed.front() == ';') return;
    const bool is_indented = trimmed.data() != line.data();
    if (trimmed.front() == '[' && !is_indented) {
      AddSection(trimmed);
    } else if (section_ == nullptr) {
      Refuse("this stands before the first [section]");
    } else if (is_indented && !property_.empty()) {
      AddIndented(trimmed);
    } else {
      property_ = AddProperty("", trimmed);
    }
  }

  IniFile Finish() { return std::move(file_); }

 private:
  [[noreturn]] void Refuse(std::string_view what) const {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("{}:{}: {}", origin_, line_number_, what));
  }

  void AddSection(std::string_view line) {
    const size_t end = line.find(']');
    if (end == std::string_view::npos) Refuse("a section's name has no closing ']'");
    const std::string_view rest = Trimmed(line.substr(end + 1));
    if (!rest.empty() && rest.front() != '#' && rest.front() != ';') {
      Refuse("there is text after the section's ']'");
    }
    const std::string_view name = Trimmed(line.substr(1, end - 1));
    if (name.empty()) Refuse("the section has no name");
    const auto [added, is_new] = file_.try_emplace(std::string(name));
    if (!is_new) Refuse(fmt::format("section [{}] is given twice", name));
    section_ = &added->second;
    property_.clear();
  }

  // The property's name.
  std::string AddProperty(const std::string& outer, std::string_view line) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) Refuse("expected \"name = value\"");
    const std::string_view name = Trimmed(line.substr(0, equals));
    if (name.empty()) Refuse("there is no name before the '='");
    // The space lets a comment begin right after the '='.
    const std::string value(WithoutComment(line.substr(equals + 1)));
    std::string full_name = outer + LowerCase(name);
    if (!section_->emplace(full_name, value).second) {
      Refuse(fmt::format("\"{}\" is given twice", full_name));
    }
    return full_name;
  }

  void AddIndented(std::string_view line) {
    std::string& value = section_->find(property_)->second;
    if (value.empty()) {
      AddProperty(property_ + '.', line);
    } else {
      value += '\n';
      value += line;
    }
  }

  const std::string_view origin_;
  int line_number_ = 0;
  IniFile file_;
  IniSection* section_ = nullptr;
  std::string property_;  // the last one that is not indented; empty at a section's start
};

}  // namespace

IniFile ParseIni(std::string_view text, std::string_view origin) {
  static constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  IniParser parser(origin);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    parser.AddLine(line);
  }
  return parser.Finish();
}

}  // namespace lambdaml::net

#include "lambdaml/base/json.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fmt/format.h>
#include <iterator>
#include <limits>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"

namespace lambdaml::base {
namespace {

constexpr size_t kDepthMax = 64;

// Characters of a text for nlohmann's reader, telling how far it has read: its events carry no
// position.
class Reader {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Reader(const char* at, const char** reached) : at_(at), reached_(reached) {}

  reference operator*() const { return *at_; }
  Reader& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  bool operator==(const Reader& other) const { return at_ == other.at_; }
  bool operator!=(const Reader& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

// Builds a Json from nlohmann's event stream; only events show duplicate keys.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view text, std::string_view origin)
      : text_(text), origin_(origin), reached_(text.data()) {}

  Json Build() {
    const char* end = text_.data() + text_.size();
    // The library takes a zero byte for the end of the text; JSON has none anywhere.
    if (const size_t zero = text_.find('\0'); zero != std::string_view::npos) {
      reached_ += zero + 1;
      Fail("not valid JSON");
    }
    nlohmann::json::sax_parse(Reader(text_.data(), &reached_), Reader(end, &reached_), this);
    return std::move(root_);
  }

  bool null() override { return Add(Json()); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(false); }
  bool start_array(size_t) override { return Open(true); }
  bool end_object() override {
    Json value(std::move(open_.back().members));
    open_.pop_back();
    return Add(std::move(value));
  }
  bool end_array() override {
    Json value(std::move(open_.back().elements));
    open_.pop_back();
    return Add(std::move(value));
  }
  bool key(string_t& key) override {
    if (!open_.back().keys.insert(key).second) Fail(fmt::format("key \"{}\" twice", key));
    open_.back().members.emplace_back(std::move(key), Json());
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    // An overflowing number is a JSON number all the same; the library calls it out of range.
    Fail(error.id == 406 ? "number is out of range" : "not valid JSON");
  }

 private:
  // An array or object whose end has not been read.
  struct Container {
    bool is_array = false;
    Json::Array elements;
    Json::Object members;  // the last one's value is being read
    std::unordered_set<std::string> keys;
  };

  // Names the place of the last character read.
  [[noreturn]] void Fail(std::string_view what) const {
    const auto length = static_cast<size_t>(reached_ - text_.data());
    const std::string_view before = text_.substr(0, length == 0 ? 0 : length - 1);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    throw Error(ErrorCode::kInvalidData,
                fmt::format("{}:{}:{}: {}", origin_, line, before.size() - line_start + 1, what));
  }

  bool Add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_array) {
      open_.back().elements.push_back(std::move(value));
    } else {
      open_.back().members.back().second = std::move(value);
    }
    return true;
  }
  bool Open(bool is_array) {
    if (open_.size() == kDepthMax) Fail(fmt::format("nested more than {} deep", kDepthMax));
    open_.emplace_back().is_array = is_array;
    return true;
  }

  std::string_view text_;
  std::string_view origin_;
  const char* reached_;
  Json root_;
  std::vector<Container> open_;
};

void DumpString(const std::string& text, std::string& out) {
  // Text from outside (file names, server answers) may not be UTF-8: replace what is not.
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void DumpDouble(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
  } else if (value == 0 && std::signbit(value)) {
    out += "-0.0";  // "-0" would read back as the integer 0
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

void DumpTo(const Json& json, int indent, std::string& out) {
  const auto new_line = [&](int depth) {
    if (depth >= 0) out.append("\n").append(static_cast<size_t>(depth) * 2, ' ');
  };
  const int inner = indent < 0 ? -1 : indent + 1;
  if (json.is_null()) {
    out += "null";
  } else if (json.is_bool()) {
    out += json.AsBool() ? "true" : "false";
  } else if (json.is_integer()) {
    out += std::to_string(json.AsInteger());
  } else if (json.is_number()) {
    DumpDouble(json.AsNumber(), out);
  } else if (json.is_string()) {
    DumpString(json.AsString(), out);
  } else if (json.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& element : json.AsArray()) {
      if (!first) out += ',';
      first = false;
      new_line(inner);
      DumpTo(element, inner, out);
    }
    if (!first) new_line(indent);
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : json.AsObject()) {
      if (!first) out += ',';
      first = false;
      new_line(inner);
      DumpString(key, out);
      out += indent < 0 ? ":" : ": ";
      DumpTo(value, inner, out);
    }
    if (!first) new_line(indent);
    out += '}';
  }
}

[[noreturn]] void ThrowType(std::string_view wanted) {
  throw Error(ErrorCode::kInvalidData, fmt::format("JSON value is not {}", wanted));
}

}  // namespace

Json::Json(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    value_ = static_cast<int64_t>(value);
  } else {
    value_ = static_cast<double>(value);
  }
}

Json Json::Parse(std::string_view text, std::string_view origin) {
  return Builder(text, origin).Build();
}

bool Json::AsBool() const {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  ThrowType("true or false");
}

int64_t Json::AsInteger() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  if (const double* value = std::get_if<double>(&value_)) {
    if (std::floor(*value) == *value && std::abs(*value) <= 0x1.0p53) {
      return static_cast<int64_t>(*value);
    }
  }
  ThrowType("a whole number");
}

double Json::AsNumber() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const double* value = std::get_if<double>(&value_)) return *value;
  ThrowType("a number");
}

const std::string& Json::AsString() const {
  if (const std::string* value = std::get_if<std::string>(&value_)) return *value;
  ThrowType("a string");
}

const Json::Array& Json::AsArray() const {
  if (const Array* value = std::get_if<Array>(&value_)) return *value;
  ThrowType("an array");
}

const Json::Object& Json::AsObject() const {
  if (const Object* value = std::get_if<Object>(&value_)) return *value;
  ThrowType("an object");
}

const Json* Json::Find(std::string_view key) const {
  for (const Member& member : AsObject()) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

const Json& Json::At(std::string_view key) const {
  if (const Json* value = Find(key)) return *value;
  throw Error(ErrorCode::kInvalidData, fmt::format("JSON object has no member \"{}\"", key));
}

void Json::Set(std::string_view key, Json value) {
  if (is_null()) value_ = Object{};
  if (!is_object()) ThrowType("an object");
  for (Member& member : std::get<Object>(value_)) {
    if (member.first == key) {
      member.second = std::move(value);
      return;
    }
  }
  std::get<Object>(value_).emplace_back(std::string(key), std::move(value));
}

void Json::Append(Json value) {
  if (is_null()) value_ = Array{};
  if (!is_array()) ThrowType("an array");
  std::get<Array>(value_).push_back(std::move(value));
}

std::string Json::Dump() const {
  std::string out;
  DumpTo(*this, -1, out);
  return out;
}

std::string Json::DumpPretty() const {
  std::string out;
  DumpTo(*this, 0, out);
  out += '\n';
  return out;
}

}  // namespace lambdaml::base

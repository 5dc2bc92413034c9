#include "lambdaml/base/json.h"

#include <cmath>
#include <fmt/format.h>
#include <limits>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"

namespace lambdaml::base {
namespace {

constexpr size_t kDepthMax = 64;

// Builds a Json from nlohmann's event stream; only events show duplicate keys.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {}

  Json TakeRoot() { return std::move(root_); }

  bool null() override { return Add(Json()); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t& digits) override {
    if (!std::isfinite(value)) Fail(0, fmt::format("number {} is out of range", digits));
    return Add(Json(value));
  }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(Json::EmptyObject()); }
  bool start_array(size_t) override { return Open(Json::EmptyArray()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& key) override {
    if (open_.back().value.Find(key) != nullptr) Fail(0, fmt::format("key \"{}\" twice", key));
    open_.back().key = std::move(key);
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // An overflowing number is a JSON number all the same; the library calls it out of range.
    Fail(position, error.id == 406 ? "number is out of range" : "not valid JSON");
    return false;
  }

 private:
  struct Open_ {
    Json value;
    std::string key;  // of the member being read
  };

  [[noreturn]] void Fail(size_t position, std::string_view what) const {
    if (position == 0) throw Error(ErrorCode::kInvalidData, fmt::format("{}: {}", origin_, what));
    size_t line = 1;
    size_t column = 0;
    for (size_t i = 0; i < position && i < text_.size(); ++i) {
      ++column;
      if (text_[i] == '\n' && i + 1 < position) {
        ++line;
        column = 0;
      }
    }
    throw Error(ErrorCode::kInvalidData, fmt::format("{}:{}:{}: {}", origin_, line, column, what));
  }

  bool Add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().value.is_array()) {
      open_.back().value.Append(std::move(value));
    } else {
      open_.back().value.Set(open_.back().key, std::move(value));
    }
    return true;
  }
  bool Open(Json value) {
    if (open_.size() == kDepthMax) Fail(0, fmt::format("nested more than {} deep", kDepthMax));
    open_.push_back({std::move(value), {}});
    return true;
  }
  bool Close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(value));
  }

  std::string_view text_;
  std::string_view origin_;
  Json root_;
  std::vector<Open_> open_;
};

void DumpString(const std::string& text, std::string& out) {
  // Text from outside (file names, server answers) may not be UTF-8: replace what is not.
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
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
    out += std::isfinite(json.AsNumber()) ? fmt::format("{}", json.AsNumber()) : "null";
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
  Builder builder(text, origin);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.TakeRoot();
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

// A JSON value, with strict parsing: duplicate keys, trailing text, nesting beyond a limit, and
// numbers that do not fit are refused with line and column. The parser is nlohmann-json's; this
// class keeps its headers out of everybody else's compilation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lambdaml::base {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // keeps the order in which members were written

  // NOLINTBEGIN(google-explicit-constructor): a Json takes any value as it is
  Json() = default;  // null
  Json(bool value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(int64_t value) : value_(value) {}
  Json(int value) : value_(static_cast<int64_t>(value)) {}
  Json(uint64_t value);  // values above 2^63-1 are kept as double
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  // NOLINTEND(google-explicit-constructor)

  static Json EmptyArray() { return Json(Array{}); }
  static Json EmptyObject() { return Json(Object{}); }

  // Parses one JSON text (RFC 8259, UTF-8). `origin` names it in errors, as "origin:line:column:
  // …". Errors: kInvalidData.
  static Json Parse(std::string_view text, std::string_view origin);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // The value as the type asked for. Errors: kInvalidData when it is of another type; AsInteger
  // takes a double only if it is whole.
  bool AsBool() const;
  int64_t AsInteger() const;
  double AsNumber() const;
  const std::string& AsString() const;
  const Array& AsArray() const;
  const Object& AsObject() const;

  // The member of an object, or nullptr if there is none.
  const Json* Find(std::string_view key) const;
  // The member of an object. Errors: kInvalidData, naming the key, if there is none.
  const Json& At(std::string_view key) const;

  // Adds or replaces a member; a null value becomes an object first.
  void Set(std::string_view key, Json value);
  // Adds an element; a null value becomes an array first.
  void Append(Json value);

  // One line without spaces. Doubles are written in the shortest form that reads back the same;
  // infinities and NaN, which JSON lacks, as null.
  std::string Dump() const;
  // Indented by two spaces, with a final newline.
  std::string DumpPretty() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

}  // namespace lambdaml::base

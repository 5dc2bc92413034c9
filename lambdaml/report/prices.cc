#include "lambdaml/report/prices.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/report/embedded_prices.h"

namespace lambdaml::report {
namespace {

using base::Json;

// One JSON object of the price file, whose every member must be asked for.
class Section {
 public:
  Section(const Json& json, std::string_view origin, std::string path)
      : json_(json), origin_(origin), path_(std::move(path)) {
    if (!json.is_object()) Fail(path_, "is not an object");
  }

  const Json* MemberIfAny(std::string_view key) {
    asked_.emplace_back(key);
    return json_.Find(key);
  }
  const Json& Member(std::string_view key) {
    const Json* value = MemberIfAny(key);
    if (value == nullptr) Fail(PathOf(key), "is missing");
    return *value;
  }
  std::string Text(std::string_view key) {
    const Json& value = Member(key);
    if (!value.is_string()) Fail(PathOf(key), "is not a string");
    return value.AsString();
  }
  double Price(std::string_view key) {
    const Json& value = Member(key);
    if (!value.is_number() || !std::isfinite(value.AsNumber()) || value.AsNumber() < 0) {
      Fail(PathOf(key), "is not a price: a number of dollars, 0 or more");
    }
    return value.AsNumber();
  }
  double PriceOrFree(std::string_view key) { return MemberIfAny(key) == nullptr ? 0 : Price(key); }
  void RefuseOthers() const {
    for (const auto& [key, value] : json_.AsObject()) {
      if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
        Fail(PathOf(key), "is not a key of a price file");
      }
    }
  }
  std::string PathOf(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }

 private:
  [[noreturn]] void Fail(std::string_view path, std::string_view what) const {
    throw base::Error(base::ErrorCode::kInvalidData,
                      fmt::format("{}: {} {}", origin_, path.empty() ? "the text" : path, what));
  }

  const Json& json_;
  std::string_view origin_;
  std::string path_;
  std::vector<std::string> asked_;
};

ServicePrices ReadService(Section section) {
  ServicePrices prices;
  prices.dollars_per_million_puts = section.PriceOrFree("dollars_per_million_puts");
  prices.dollars_per_million_gets = section.PriceOrFree("dollars_per_million_gets");
  prices.dollars_per_million_lists = section.PriceOrFree("dollars_per_million_lists");
  prices.dollars_per_million_deletes = section.PriceOrFree("dollars_per_million_deletes");
  prices.dollars_per_gb_read = section.PriceOrFree("dollars_per_gb_read");
  prices.dollars_per_gb_written = section.PriceOrFree("dollars_per_gb_written");
  prices.dollars_per_million_read_units = section.PriceOrFree("dollars_per_million_read_units");
  prices.dollars_per_million_write_units = section.PriceOrFree("dollars_per_million_write_units");
  section.RefuseOthers();
  return prices;
}

using HourlyPrices = std::map<std::string, double, std::less<>>;

double HourlyPrice(const Prices& prices, const HourlyPrices& of_types, std::string_view what,
                   std::string_view type) {
  const auto found = of_types.find(type);
  if (found != of_types.end()) return found->second;
  std::string types;
  for (const auto& [name, dollars] : of_types) {
    types += fmt::format("{}{}", types.empty() ? "" : ", ", name);
  }
  throw base::Error(
      base::ErrorCode::kInvalidArgument,
      fmt::format("the price file of {} ({}) has no price for {} of type {}; it "
                  "knows {}",
                  prices.as_of, prices.region, what, type, types.empty() ? "none" : types));
}

// The member of the price file with that name, if it is there.
HourlyPrices ReadHourlyPrices(Section& top, std::string_view origin, const std::string& name) {
  HourlyPrices prices;
  const Json* json = top.MemberIfAny(name);
  if (json == nullptr) return prices;
  Section section(*json, origin, name);
  for (const auto& [type, price] : json->AsObject()) prices.emplace(type, section.Price(type));
  return prices;
}

}  // namespace

double Prices::CacheNodeDollarsPerHour(std::string_view type) const {
  return HourlyPrice(*this, cache_node_dollars_per_hour, "cache nodes", type);
}

double Prices::VmDollarsPerHour(std::string_view type) const {
  return HourlyPrice(*this, vm_dollars_per_hour, "virtual machines", type);
}

Prices Prices::Parse(std::string_view text, std::string_view origin) {
  const Json json = Json::Parse(text, origin);
  Section top(json, origin, "");
  Prices prices;
  prices.as_of = top.Text("as_of");
  prices.region = top.Text("region");
  top.Member("sources");  // for people

  Section lambda(top.Member("lambda"), origin, "lambda");
  prices.lambda.x86_64_dollars_per_gb_second = lambda.Price("x86_64_dollars_per_gb_second");
  prices.lambda.arm64_dollars_per_gb_second = lambda.Price("arm64_dollars_per_gb_second");
  prices.lambda.dollars_per_million_requests = lambda.Price("dollars_per_million_requests");
  lambda.RefuseOthers();

  const Json& services_json = top.Member("services");
  const Section services(services_json, origin, "services");
  for (const auto& [name, service] : services_json.AsObject()) {
    prices.services.emplace(name, ReadService(Section(service, origin, services.PathOf(name))));
  }
  prices.cache_node_dollars_per_hour = ReadHourlyPrices(top, origin, "cache_node_dollars_per_hour");
  prices.vm_dollars_per_hour = ReadHourlyPrices(top, origin, "vm_dollars_per_hour");
  top.RefuseOthers();
  return prices;
}

Prices Prices::Embedded() { return Parse(EmbeddedPricesText(), "config/prices.json"); }

}  // namespace lambdaml::report

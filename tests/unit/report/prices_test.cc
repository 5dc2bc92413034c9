#include "lambdaml/report/prices.h"

#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/error.h"

namespace lambdaml::report {
namespace {

constexpr std::string_view kValid = R"({
  "as_of": "2001-02-03", "region": "here", "sources": [],
  "lambda": {"x86_64_dollars_per_gb_second": 1, "arm64_dollars_per_gb_second": 2,
             "dollars_per_million_requests": 3},
  "services": {"s3": {"dollars_per_million_puts": 4, "dollars_per_gb_read": 0.5}, "file": {},
               "dynamodb": {"dollars_per_million_read_units": 5,
                            "dollars_per_million_write_units": 6}},
  "cache_node_dollars_per_hour": {"cache.small": 7}, "vm_dollars_per_hour": {"vm.small": 8}
})";

std::string Replaced(std::string_view what, std::string_view with) {
  std::string text(kValid);
  return text.replace(text.find(what), what.size(), with);
}

std::string ErrorOf(const std::string& text) {
  try {
    Prices::Parse(text, "p.json");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    return error.message();
  }
  return "accepted";
}

TEST(PricesTest, EveryPriceIsRead) {
  const Prices prices = Prices::Parse(kValid, "p.json");
  EXPECT_EQ(prices.as_of, "2001-02-03");
  EXPECT_EQ(prices.region, "here");
  EXPECT_EQ(prices.lambda.x86_64_dollars_per_gb_second, 1);
  EXPECT_EQ(prices.lambda.arm64_dollars_per_gb_second, 2);
  EXPECT_EQ(prices.lambda.dollars_per_million_requests, 3);
  ASSERT_EQ(prices.services.size(), 3U);
  EXPECT_EQ(prices.services.at("s3").dollars_per_million_puts, 4);
  EXPECT_EQ(prices.services.at("s3").dollars_per_million_gets, 0);
  EXPECT_EQ(prices.services.at("s3").dollars_per_gb_read, 0.5);
  EXPECT_EQ(prices.services.at("dynamodb").dollars_per_million_read_units, 5);
  EXPECT_EQ(prices.services.at("dynamodb").dollars_per_million_write_units, 6);
  EXPECT_EQ(prices.CacheNodeDollarsPerHour("cache.small"), 7);
  EXPECT_EQ(prices.VmDollarsPerHour("vm.small"), 8);
}

TEST(PricesTest, TheEmbeddedOnesAreTheConfiguredOnes) {
  const Prices prices = Prices::Embedded();
  EXPECT_EQ(prices.region, "us-east-1");
  EXPECT_EQ(prices.lambda.x86_64_dollars_per_gb_second, 0.0000166667);
  EXPECT_EQ(prices.lambda.arm64_dollars_per_gb_second, 0.0000133334);
  EXPECT_EQ(prices.services.at("s3").dollars_per_million_puts, 5);
  EXPECT_EQ(prices.services.at("s3").dollars_per_million_gets, 0.4);
  EXPECT_EQ(prices.services.count("file"), 1U);
  EXPECT_EQ(prices.services.at("dynamodb").dollars_per_million_read_units, 0.125);
  EXPECT_EQ(prices.services.at("dynamodb").dollars_per_million_write_units, 0.625);
  EXPECT_EQ(prices.CacheNodeDollarsPerHour("cache.t3.micro"), 0.017);
  EXPECT_EQ(prices.VmDollarsPerHour("c5.large"), 0.085);
  EXPECT_EQ(prices.CacheNodeDollarsPerHour("cache.r7g.large"), 0.219);
}

TEST(PricesTest, AnErrorNamesFileAndKey) {
  EXPECT_EQ(ErrorOf("{"), "p.json:1:1: not valid JSON");
  EXPECT_EQ(ErrorOf("[]"), "p.json: the text is not an object");
  EXPECT_EQ(ErrorOf(Replaced("\"as_of\": \"2001-02-03\", ", "")), "p.json: as_of is missing");
  EXPECT_EQ(ErrorOf(Replaced("\"here\"", "7")), "p.json: region is not a string");
  EXPECT_EQ(
      ErrorOf(Replaced("{\"dollars_per_million_puts\": 4, \"dollars_per_gb_read\": 0.5}", "4")),
      "p.json: services.s3 is not an object");
  EXPECT_EQ(ErrorOf(Replaced("\"dollars_per_million_requests\": 3", "\"x\": 1")),
            "p.json: lambda.dollars_per_million_requests is missing");
}

TEST(PricesTest, APriceIsANumberAndNotNegative) {
  const std::string tail = " is not a price: a number of dollars, 0 or more";
  EXPECT_EQ(ErrorOf(Replaced("_puts\": 4", "_puts\": -4")),
            "p.json: services.s3.dollars_per_million_puts" + tail);
  EXPECT_EQ(ErrorOf(Replaced("\"cache.small\": 7", "\"cache.small\": null")),
            "p.json: cache_node_dollars_per_hour.cache.small" + tail);
  EXPECT_EQ(ErrorOf(Replaced("{\"cache.small\": 7}", "7")),
            "p.json: cache_node_dollars_per_hour is not an object");
  EXPECT_EQ(ErrorOf(Replaced("second\": 1", "second\": \"1\"")),
            "p.json: lambda.x86_64_dollars_per_gb_second" + tail);
}

TEST(PricesTest, AMisspeltKeyIsRefused) {
  EXPECT_EQ(ErrorOf(Replaced("per_gb_read", "per_gb_red")),
            "p.json: services.s3.dollars_per_gb_red is not a key of a price file");
  EXPECT_EQ(ErrorOf(Replaced("\"sources\": []", "\"sources\": [], \"x\": 1")),
            "p.json: x is not a key of a price file");
}

}  // namespace
}  // namespace lambdaml::report

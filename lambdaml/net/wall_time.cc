#include "lambdaml/net/wall_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

namespace lambdaml::net {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;

// The digits of `text`, all of them; -1 if there is anything else.
int Digits(std::string_view text) {
  int number = -1;
  const bool only_digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (only_digits) std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::optional<WallTime> Compose(int year, int month, int day, std::string_view clock) {
  // clock: "HH:MM:SS"
  if (clock.size() != 8 || clock[2] != ':' || clock[5] != ':') return std::nullopt;
  const int hour = Digits(clock.substr(0, 2));
  const int minute = Digits(clock.substr(3, 2));
  const int second = Digits(clock.substr(6, 2));
  // std::chrono's time points reach from 1678 to 2261.
  const bool in_range = year >= 1970 && year < 2200 && month >= 1 && day >= 1 && hour >= 0 &&
                        hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second <= 60;
  if (!in_range) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)});
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         seconds(second);
}

}  // namespace

std::string FormatAmzDate(WallTime time) {
  const auto day = floor<days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(floor<seconds>(time) - day);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::optional<WallTime> ParseHttpDate(std::string_view text) {
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  if (text.size() != 29 || text.substr(3, 2) != ", " || text[7] != ' ' || text[11] != ' ' ||
      text[16] != ' ' || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) return std::nullopt;
  return Compose(Digits(text.substr(12, 4)), static_cast<int>(month - kMonths.begin()) + 1,
                 Digits(text.substr(5, 2)), text.substr(17, 8));
}

std::optional<WallTime> ParseIsoTime(std::string_view text) {
  // "2026-05-01T12:00:00.123Z"
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      !text.ends_with('Z')) {
    return std::nullopt;
  }
  const std::string_view fraction = text.substr(19, text.size() - 20);
  if (!fraction.empty() && (fraction[0] != '.' || Digits(fraction.substr(1, 9)) < 0)) {
    return std::nullopt;
  }
  return Compose(Digits(text.substr(0, 4)), Digits(text.substr(5, 2)), Digits(text.substr(8, 2)),
                 text.substr(11, 8));
}

}  // namespace lambdaml::net

#include "lambdaml/net/retry.h"

#include <algorithm>

namespace lambdaml::net {
namespace {

constexpr base::Duration kFirstPauseMax = std::chrono::milliseconds(20);
constexpr base::Duration kPauseMax = std::chrono::seconds(2);
constexpr int kDoublingsMax = 16;  // far beyond kPauseMax, and no overflow

}  // namespace

Retry::Retry(const base::Deadline& deadline, uint64_t seed, base::Duration outage_max)
    : deadline_(deadline), outage_max_(outage_max), random_(seed) {}

bool Retry::Again(base::Duration at_least) {
  const base::Clock& clock = deadline_.clock();
  if (!outage_end_) {
    outage_end_ = base::Deadline::Earlier(deadline_, base::Deadline::After(outage_max_, clock));
  }
  const base::Duration longest = std::min<base::Duration>(
      kPauseMax, kFirstPauseMax * (1LL << std::min(failures_, kDoublingsMax)));
  ++failures_;
  const auto jittered =
      static_cast<base::Duration::rep>(random_.Uniform() * static_cast<double>(longest.count()));
  const base::Duration pause = std::max(base::Duration(jittered), at_least);
  if (outage_end_->Remaining() <= pause) return false;
  clock.SleepFor(pause);
  return true;
}

}  // namespace lambdaml::net
